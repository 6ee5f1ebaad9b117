-- Queues that give nothing to claims. A program that does not know of them would take their jobs.
CREATE TABLE queue_paused (
    queue INTEGER PRIMARY KEY
) STRICT;
