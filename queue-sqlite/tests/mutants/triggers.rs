//! Changes rows by triggers, as a mutated statement would.

use crate::caught::mutants;
use crate::subject::Mutation::{Opening, Rewritten, Trigger};

mutants! {
    // A claim that does not mark its jobs.
    Q3 leaves_claimed_jobs_ready => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER UPDATE OF claim ON queue_live WHEN new.state = 2 BEGIN
            UPDATE queue_live SET state = 1 WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    // `SET claim = coalesce(claim, ?2)`, and no settle removes the claim.
    Q4 keeps_the_first_token_of_a_job => Trigger(
        "CREATE TABLE IF NOT EXISTS mutant_first (seq INTEGER PRIMARY KEY, claim BLOB);
        CREATE TRIGGER IF NOT EXISTS mutant AFTER UPDATE OF claim ON queue_live WHEN new.claim IS NOT NULL BEGIN
            INSERT OR IGNORE INTO mutant_first VALUES (new.seq, new.claim);
            UPDATE queue_live SET claim = (SELECT claim FROM mutant_first f WHERE f.seq = new.seq) WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    Q4 records_an_error_with_the_first_worker => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER INSERT ON queue_attempt_errors BEGIN
            UPDATE queue_attempt_errors SET worker = (SELECT id FROM queue_workers ORDER BY worker_id LIMIT 1)
            WHERE seq = new.seq AND attempt = new.attempt;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    Q1 forgets_every_seventh_job => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER INSERT ON queue_live WHEN new.seq % 7 = 0 BEGIN
            DELETE FROM queue_live WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    // `attempt = attempt` in the claim.
    Q7 charges_no_attempt => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER UPDATE OF attempt ON queue_live WHEN new.state = 2 BEGIN
            UPDATE queue_live SET attempt = old.attempt WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    // A settle that keeps the live row.
    Q8 leaves_a_finished_job_live => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER DELETE ON queue_live BEGIN
            INSERT INTO queue_live (seq, id, queue, kind, priority, state, run_at, attempt, max_retries, timeout)
            VALUES (old.seq, old.id, old.queue, old.kind, old.priority, 1, old.run_at, old.attempt, old.max_retries, old.timeout);
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    Q8 counts_the_attempts_of_a_retried_job_anew => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER INSERT ON queue_live WHEN new.attempt > 0 BEGIN
            UPDATE queue_live SET attempt = 0 WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    Q8 grants_no_further_retries => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER INSERT ON queue_live
        WHEN new.max_retries <> (SELECT max_retries FROM queue_jobs j WHERE j.seq = new.seq) BEGIN
            UPDATE queue_live SET max_retries = (SELECT max_retries FROM queue_jobs j WHERE j.seq = new.seq)
            WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    Q8 leaves_the_end_of_a_retried_job => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER DELETE ON queue_outcomes
        WHEN EXISTS (SELECT 1 FROM queue_live l WHERE l.seq = old.seq) BEGIN
            INSERT INTO queue_outcomes (seq, state, finished_at, attempt, claim, error, result)
            VALUES (old.seq, old.state, old.finished_at, old.attempt, old.claim, old.error, old.result);
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    Q15 lets_the_time_of_a_kept_key_pass => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER UPDATE OF until ON queue_unique_keys
        WHEN new.until IS NULL AND new.job = old.job BEGIN
            UPDATE queue_unique_keys SET until = old.until WHERE kind = new.kind AND key = new.key;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    Q9 forgets_the_wish_to_cancel_with_the_lease => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER UPDATE OF claim ON queue_live
        WHEN new.claim IS NULL AND new.cancel_requested = 1 BEGIN
            UPDATE queue_live SET cancel_requested = 0 WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    Q10 stores_no_result => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER INSERT ON queue_outcomes WHEN new.result IS NOT NULL BEGIN
            UPDATE queue_outcomes SET result = NULL WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    // `expires_at < ?1` for `expires_at <= ?1`.
    Q11 loses_a_worker_a_tick_too_late => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER INSERT ON queue_workers BEGIN
            UPDATE queue_workers SET expires_at = new.expires_at + 1 WHERE worker_id = new.worker_id;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    Q12 lets_heartbeats_extend_nothing => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER UPDATE OF expires_at ON queue_workers BEGIN
            UPDATE queue_workers SET expires_at = old.expires_at WHERE worker_id = new.worker_id;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    // `ORDER BY priority` for `ORDER BY priority DESC`.
    Q13 claims_the_least_urgent_first => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER INSERT ON queue_live BEGIN
            UPDATE queue_live SET priority = ~new.priority WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    // `run_at - 1 <= ?3`, which is `run_at < ?3 + 2`.
    Q14 claims_a_tick_too_early => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER INSERT ON queue_live WHEN new.run_at > 0 BEGIN
            UPDATE queue_live SET run_at = new.run_at - 1 WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    // `run_at < ?3` for `run_at <= ?3`.
    Q14 claims_a_tick_too_late => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER INSERT ON queue_live WHEN new.state = 0 BEGIN
            UPDATE queue_live SET run_at = min(new.run_at + 1, 253402300799999999) WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    // A text whose jobs are only in `queue_jobs`.
    Q6 makes_no_job_of_a_transaction_live => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER INSERT ON queue_live
        WHEN new.id IN (SELECT id FROM queue_enqueued) BEGIN
            DELETE FROM queue_live WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    // Statements of the trigger that completes a job in a transaction.
    Q10 completes_in_a_transaction_without_the_lease => Rewritten(
        "queue_complete_job",
        "SELECT RAISE(ABORT, 'complete: the lease is lost') WHERE changes() = 0;",
        ""
    ),
    Q10 stores_no_result_of_a_transaction => Rewritten(
        "queue_complete_job",
        "attempt, claim, CAST(NEW.request ->> '$.result' AS BLOB)",
        "attempt, claim, NULL"
    ),
    Q15 releases_no_key_in_a_transaction => Rewritten(
        "queue_complete_job",
        "WHERE until IS NULL AND (kind, key, job) IN (",
        "WHERE until = 0 AND (kind, key, job) IN ("
    ),
    // A retry that releases the key as an end does.
    Q15 releases_the_key_of_a_retried_job => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER UPDATE OF state ON queue_live WHEN new.state = 3 AND new.ties = 1 BEGIN
            DELETE FROM queue_unique_keys WHERE job = new.id;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    Q15 releases_no_key => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER DELETE ON queue_unique_keys BEGIN
            INSERT INTO queue_unique_keys VALUES (old.kind, old.key, old.job, old.until);
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    Q17 forgets_a_pause => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER INSERT ON queue_paused BEGIN
            DELETE FROM queue_paused WHERE queue = new.queue;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    // Payloads stored as parsed JSON.
    Q20 stores_payloads_as_parsed => Trigger(
        "CREATE TRIGGER IF NOT EXISTS mutant AFTER INSERT ON queue_jobs BEGIN
            UPDATE queue_jobs SET payload = json(new.payload) WHERE seq = new.seq;
            UPDATE mutant_reached SET times = times + 1;
        END"
    ),
    // A migration that is not recorded in its own transaction.
    Q21 forgets_which_steps_were_applied => Opening("DELETE FROM queue_migrations"),
}
