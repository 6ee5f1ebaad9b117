-- What shows jobs to people, with their payloads, results and errors, and changes none.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON
    {schema}.overview,
    {schema}.jobs,
    {schema}.live,
    {schema}.outcomes,
    {schema}.attempt_errors,
    {schema}.workers,
    {schema}.queues
TO {role};
GRANT EXECUTE ON FUNCTION {schema}.paused TO {role};
