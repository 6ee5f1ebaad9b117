-- Q21: written in the transaction that applies the step.
INSERT INTO {schema}.migrations (version, name, oldest_compatible) VALUES ($1, $2, $3)
