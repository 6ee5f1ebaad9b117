SELECT queue, kind, id FROM {schema}.next_ready($1)
