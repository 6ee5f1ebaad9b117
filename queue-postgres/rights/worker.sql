-- What runs jobs: it claims and settles them, shows that it lives, and does the upkeep that every worker does.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT EXECUTE ON FUNCTION
    {schema}.register,
    {schema}.heartbeat,
    {schema}.retire,
    {schema}.claim,
    {schema}.leases,
    {schema}.settle,
    {schema}.wanted_cancels,
    {schema}.maintain
TO {role};
