-- Q21: the version of the schema, and what a program must know at least to serve it.
SELECT version, oldest_compatible FROM {schema}.migrations ORDER BY version DESC LIMIT 1
