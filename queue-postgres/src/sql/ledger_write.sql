-- Q21: records a step in the transaction that applies it.
INSERT INTO {schema}.migrations (version, name, oldest_compatible) VALUES ($1, $2, $3)
