-- Whether the server is read-only: a replica, or a primary that was taken out of service.
SELECT current_setting('transaction_read_only')::boolean
