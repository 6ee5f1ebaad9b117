-- Q1, Q5: inserts one or several batches, all or none of them.
SELECT {schema}.insert_jobs($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
