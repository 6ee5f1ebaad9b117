//! The cases that the in-memory backend is excused from, to the letter.

use std::sync::Arc;

use async_trait::async_trait;
use queue_core::{Backend, MemoryBackend};
use queue_testkit::conformance::{SetupResult, Storage, Subject, Suite};

struct Memory;

#[async_trait]
impl Subject for Memory {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        Ok(Arc::new(Jobs(MemoryBackend::new())))
    }
}

struct Jobs(MemoryBackend);

#[async_trait]
impl Storage for Jobs {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(self.0.clone()))
    }
}

/// Each case, and the first thing that it needs and the backend does not declare.
const EXCUSED: &str = "\
q01_jobs_of_every_state_outlive_the_handle needs durable
q01_what_one_handle_acknowledged_another_runs needs multi_process
q02_a_refused_batch_is_not_there_when_the_storage_is_opened_again needs durable
q04_a_lease_outlives_the_handle_that_claimed needs durable
q04_a_lease_taken_by_another_process_is_lost needs multi_process
q09_a_cancel_holds_when_the_storage_is_opened_again needs durable
q09_a_signal_reaches_a_holder_in_another_process needs multi_process
q10_a_result_is_as_durable_as_its_job needs durable
q11_a_worker_that_left_no_trace_is_rescued_after_the_restart needs durable
q12_the_expiry_outlives_the_handle needs durable
q13_the_order_outlives_the_handle needs durable
q16_a_job_is_known_when_the_storage_is_opened_again needs durable
q17_a_pause_outlives_the_handle needs durable
q17_a_pause_holds_for_every_handle needs multi_process
q20_payloads_and_results_outlive_the_handle needs durable
q21_a_fresh_storage_opened_by_many_at_once_serves_all needs migrations
q21_a_storage_with_jobs_opened_by_many_at_once_keeps_them needs migrations
q21_opening_disturbs_nobody_who_works needs migrations
q21_opening_again_and_again_changes_nothing needs migrations
q22_a_handle_closed_under_a_dropped_insert_leaves_it_whole needs durable
q22_an_error_on_one_handle_leaves_the_other_working needs multi_process
";

#[test]
fn the_memory_backend_is_excused_from_these_cases_and_no_others() {
    let excused = Suite::new(Memory).unwrap().excused();
    let lines = excused.into_iter().map(|(case, missing)| format!("{} needs {missing}\n", case.name()));
    let excused: String = lines.collect();
    assert!(excused == EXCUSED, "the list should be:\n{excused}");
}
