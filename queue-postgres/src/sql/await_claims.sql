-- Q17: waits until earlier claims have ended.
SELECT {schema}.await_claims($1)
