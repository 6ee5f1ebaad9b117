-- Whether the server takes no writes: a replica, or a primary that was taken out of service.
SELECT current_setting('transaction_read_only')::boolean
