//! The kit tests itself. Each mutant is a backend that breaks one promise, and a case of that
//! promise must find it.
//!
//! The mutants wrap the in-memory backend. Those of Q21 are in the crates of the SQL backends,
//! because only these have a schema. So are those of Q6 that need transactions of an application.
//! Q18 has no feature to break yet.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says which case found its mutant"
)]

mod amounts;
mod backend;
mod caught;
mod damaged;
mod dropped;
mod excused;
mod faults;
#[path = "../faulty/mod.rs"]
mod faulty;
mod insert_and_claim;
mod limits;
mod lists;
mod mutation;
mod names;
mod odd;
mod q01_no_lost_ack;
mod q02_no_phantom;
mod q03_single_live_lease;
mod q04_fenced_settle;
mod q05_batch_atomic;
mod q06_tx_enqueue;
mod q07_attempt_bound;
mod q08_terminal_final;
mod q09_cancel_linearizable;
mod q10_result_iff_complete;
mod q11_expiry_recovers;
mod q12_heartbeat_extends;
mod q13_priority_order;
mod q14_not_before;
mod q15_unique_once;
mod q16_idempotent_enqueue;
mod q17_queue_isolation;
mod q19_no_starvation;
mod q20_payload_fidelity;
mod q22_honest_errors;
mod q23_schedule_once;
mod reopened;
mod schedule_reads;
mod sound;
mod times;
mod two_steps;
mod wake_ups;
