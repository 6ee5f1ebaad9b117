-- Q23: the schedules that are due. The last row has the times.
SELECT * FROM {schema}.due_schedules($1, $2)
