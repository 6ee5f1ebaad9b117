-- What steps in: it pauses and resumes queues and cancels jobs, running ones too.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT EXECUTE ON FUNCTION
    {schema}.pause,
    {schema}.await_claims,
    {schema}.resume,
    {schema}.paused,
    {schema}.cancel
TO {role};
