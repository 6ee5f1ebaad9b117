-- Q21: the version of the schema, and the oldest version of a program that it supports.
SELECT version, oldest_compatible FROM {schema}.migrations ORDER BY version DESC LIMIT 1
