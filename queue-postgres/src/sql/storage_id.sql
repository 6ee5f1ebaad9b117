-- Q6: reads the identity of the storage, which a transaction of an application is compared with.
SELECT {schema}.storage_id()::text
