-- Q17: from the commit on claims of the queue take nothing.
SELECT {schema}.pause($1)
