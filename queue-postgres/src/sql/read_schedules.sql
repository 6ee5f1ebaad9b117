-- Q23: schedules by name.
SELECT * FROM {schema}.read_schedules($1)
