-- What enqueues jobs, from Rust or from SQL, and cancels them. It reads no payload that it does not know already.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT EXECUTE ON FUNCTION
    {schema}.enqueue,
    {schema}.insert_jobs,
    {schema}.known_jobs,
    {schema}.cancel
TO {role};
