-- Q17: claims that began before are over.
SELECT {schema}.await_claims($1)
