-- Q6: the identity of the storage, which a transaction of an application is compared with.
SELECT id FROM queue_storage
