//! The exact list of cases that the in-memory backend is excused from.

use std::collections::BTreeSet;
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

/// Each case, and the first thing that it needs and the backend does not declare; in any order.
const EXCUSED: &str = "\
q01_a_killed_enqueuer_takes_no_acknowledged_job_with_it: needs durable, which the backend does not declare
q01_everything_at_once_for_a_while: needs durable, which the backend does not declare
q01_jobs_of_every_state_outlive_the_handle: needs durable, which the backend does not declare
q01_random_kills_of_whole_programs_lose_and_double_nothing: needs durable, which the backend does not declare
q01_what_a_killed_process_acknowledged_is_there_for_the_next: needs durable, which the backend does not declare
q01_what_one_handle_acknowledged_another_runs: needs multi_process, which the backend does not declare
q02_a_refused_batch_is_not_there_when_the_storage_is_opened_again: needs durable, which the backend does not declare
q02_what_a_killed_process_had_not_sent_does_not_exist: needs durable, which the backend does not declare
q03_random_kills_give_no_job_two_leases: needs durable, which the backend does not declare
q04_a_lease_of_before_a_restore_settles_nothing: needs a storage that can be restored, but `Storage::back_up` returns none
q04_a_lease_outlives_the_handle_that_claimed: needs durable, which the backend does not declare
q04_a_lease_taken_by_another_process_is_lost: needs multi_process, which the backend does not declare
q04_a_worker_that_stood_still_past_its_expiry_settles_nothing: needs durable, which the backend does not declare
q05_a_batch_whose_sender_is_killed_is_there_whole_or_not_at_all: needs durable, which the backend does not declare
q06_a_batch_of_several_kinds_is_stored_with_its_choices: needs transactions of an application, but `Subject::begin` returns none
q06_a_completion_cut_by_a_kill_stored_its_follow_ups_or_nothing: needs durable, which the backend does not declare
q06_a_deferred_wake_up_is_sent_after_the_commit: needs transactions of an application, but `Subject::begin` returns none
q06_a_follow_up_of_a_transaction_may_take_the_key_of_its_job: needs transactions of an application, but `Subject::begin` returns none
q06_a_job_is_visible_from_the_commit_on: needs transactions of an application, but `Subject::begin` returns none
q06_a_job_of_a_closed_connection_never_appears: needs transactions of an application, but `Subject::begin` returns none
q06_a_job_of_a_process_that_is_killed_before_its_commit_never_appears: needs transactions of an application, but `Subject::begin` returns none
q06_a_job_that_is_stored_is_known_in_a_transaction: needs transactions of an application, but `Subject::begin` returns none
q06_a_refused_batch_stores_nothing: needs transactions of an application, but `Subject::begin` returns none
q06_a_retry_waits_for_the_transaction_that_has_its_key: needs transactions of an application, but `Subject::begin` returns none
q06_a_rolled_back_job_never_appears: needs transactions of an application, but `Subject::begin` returns none
q06_a_unique_key_is_held_from_the_commit_on: needs transactions of an application, but `Subject::begin` returns none
q06_an_insert_waits_for_the_transaction_that_has_its_key: needs transactions of an application, but `Subject::begin` returns none
q06_follow_ups_of_a_rolled_back_transaction_never_appear: needs transactions of an application, but `Subject::begin` returns none
q06_follow_ups_of_a_transaction_are_announced_after_its_commit: needs transactions of an application, but `Subject::begin` returns none
q06_follow_ups_of_a_transaction_exist_from_its_commit_on: needs transactions of an application, but `Subject::begin` returns none
q06_no_worker_is_woken_before_the_commit: needs transactions of an application, but `Subject::begin` returns none
q06_of_transactions_with_one_key_one_stores_the_job: needs transactions of an application, but `Subject::begin` returns none
q07_a_job_that_kills_its_process_each_time_ends_dead: needs durable, which the backend does not declare
q07_a_kill_costs_the_attempt_that_ran_and_no_other: needs durable, which the backend does not declare
q08_a_retry_is_as_durable_as_its_job: needs durable, which the backend does not declare
q08_pruning_goes_on_after_a_reopen: needs durable, which the backend does not declare
q09_a_cancel_holds_when_the_storage_is_opened_again: needs durable, which the backend does not declare
q09_a_signal_reaches_a_holder_in_another_process: needs multi_process, which the backend does not declare
q10_a_caller_in_another_process_gets_the_result: needs multi_process, which the backend does not declare
q10_a_completed_job_cannot_be_completed_in_a_second_transaction: needs transactions of an application, but `Subject::begin` returns none
q10_a_completion_cut_by_a_kill_left_its_result_or_did_nothing: needs durable, which the backend does not declare
q10_a_failed_attempt_after_the_commit_changes_nothing: needs transactions of an application, but `Subject::begin` returns none
q10_a_job_of_a_rolled_back_transaction_runs_on: needs transactions of an application, but `Subject::begin` returns none
q10_a_job_that_a_transaction_completes_has_its_result_from_the_commit_on: needs transactions of an application, but `Subject::begin` returns none
q10_a_kill_around_the_commit_leaves_a_completed_job_or_a_running_one: needs transactions of an application, but `Subject::begin` returns none
q10_a_result_is_as_durable_as_its_job: needs durable, which the backend does not declare
q10_a_result_that_was_captured_before_a_kill_is_not_stored: needs durable, which the backend does not declare
q10_a_settle_waits_for_the_transaction_that_completes_its_job: needs transactions of an application, but `Subject::begin` returns none
q10_a_watched_end_in_a_transaction_is_announced: needs transactions of an application, but `Subject::begin` returns none
q10_a_worker_learns_whether_a_transaction_was_committed: needs transactions of an application, but `Subject::begin` returns none
q10_an_end_in_another_process_is_announced: needs multi_process, which the backend does not declare
q10_of_a_transaction_and_a_rescue_one_ends_the_lease: needs transactions of an application, but `Subject::begin` returns none
q11_a_killed_workers_jobs_are_claimable_after_its_expiry_never_before: needs durable, which the backend does not declare
q11_a_program_that_stood_still_doubles_nothing_and_works_on: needs durable, which the backend does not declare
q11_a_rescue_goes_on_after_a_reopen: needs durable, which the backend does not declare
q11_a_worker_that_left_no_trace_is_rescued_after_the_restart: needs durable, which the backend does not declare
q11_a_worker_that_stood_still_goes_on_as_a_new_one: needs durable, which the backend does not declare
q11_what_a_killed_program_ran_is_run_by_another: needs durable, which the backend does not declare
q12_a_worker_that_a_restore_removed_is_lost_and_registers_anew: needs a storage that can be restored, but `Storage::back_up` returns none
q12_each_workers_expiry_outlives_the_handle: needs durable, which the backend does not declare
q12_lost_and_retired_workers_outlive_the_handle: needs durable, which the backend does not declare
q12_the_expiry_outlives_the_handle: needs durable, which the backend does not declare
q13_an_earlier_job_of_another_handle_is_claimed: needs multi_process, which the backend does not declare
q13_jobs_that_a_restore_brought_back_are_claimed: needs a storage that can be restored, but `Storage::back_up` returns none
q13_the_order_outlives_the_handle: needs durable, which the backend does not declare
q14_a_promotion_goes_on_after_a_reopen: needs durable, which the backend does not declare
q15_a_job_completed_in_a_transaction_releases_or_keeps_its_key: needs transactions of an application, but `Subject::begin` returns none
q15_a_key_is_as_durable_as_its_job: needs durable, which the backend does not declare
q15_the_key_of_a_running_job_outlives_the_handle: needs durable, which the backend does not declare
q16_a_batch_that_is_sent_again_after_a_kill_makes_each_job_once: needs durable, which the backend does not declare
q16_a_damaged_job_that_is_inserted_again_is_corrupt: needs a job that is damaged, but `Storage::damage` returns false
q16_a_job_is_known_when_the_storage_is_opened_again: needs durable, which the backend does not declare
q16_a_job_that_a_restore_removed_is_entered_anew: needs a storage that can be restored, but `Storage::back_up` returns none
q17_a_handle_opened_during_a_pause_sees_its_end: needs multi_process, which the backend does not declare
q17_a_pause_holds_for_every_handle: needs multi_process, which the backend does not declare
q17_a_pause_outlives_the_handle: needs durable, which the backend does not declare
q17_kinds_and_queues_are_what_they_are_called_after_a_restore: needs a storage that can be restored, but `Storage::back_up` returns none
q19_a_damaged_job_hides_no_other: needs a job that is damaged, but `Storage::damage` returns false
q20_payloads_and_results_outlive_the_handle: needs durable, which the backend does not declare
q20_records_outlive_the_handle: needs durable, which the backend does not declare
q21_a_fresh_storage_opened_by_many_at_once_serves_all: needs migrations, which the backend does not declare
q21_a_storage_whose_migration_was_killed_opens_and_works: needs migrations, which the backend does not declare
q21_a_storage_with_jobs_opened_by_many_at_once_keeps_them: needs migrations, which the backend does not declare
q21_opening_again_and_again_changes_nothing: needs migrations, which the backend does not declare
q21_opening_disturbs_nobody_who_works: needs migrations, which the backend does not declare
q21_opening_under_a_fault_ends_in_time_and_works_afterwards: needs multi_process, which the backend does not declare
q22_a_handle_closed_under_a_dropped_insert_leaves_it_whole: needs durable, which the backend does not declare
q22_a_list_with_a_damaged_job_is_corrupt_by_name: needs a job that is damaged, but `Storage::damage` returns false
q22_a_read_of_a_damaged_job_is_corrupt_by_name: needs a job that is damaged, but `Storage::damage` returns false
q22_an_error_on_one_handle_leaves_the_other_working: needs multi_process, which the backend does not declare
q23_a_fire_cut_by_a_kill_happened_wholly_or_not_at_all: needs durable, which the backend does not declare
q23_another_handle_sees_each_change: needs multi_process, which the backend does not declare
q23_random_kills_of_firing_processes_fire_each_slot_once: needs durable, which the backend does not declare
q23_schedules_outlive_the_handle: needs durable, which the backend does not declare
";

#[test]
fn the_memory_backend_is_excused_from_these_cases_and_no_others() {
    let excused = Suite::new(Memory).unwrap().excused();
    let lines: BTreeSet<String> =
        excused.iter().map(|(case, missing)| format!("{}: {missing}", case.name())).collect();
    let excused: Vec<&str> = lines.iter().map(String::as_str).collect();
    let expected: BTreeSet<&str> = EXCUSED.lines().collect();
    assert!(excused.iter().eq(&expected), "the list should be:\n{}", excused.join("\n"));
}
