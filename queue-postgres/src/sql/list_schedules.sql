-- Q23: schedules in the order of their names.
SELECT * FROM {schema}.list_schedules($1, $2)
