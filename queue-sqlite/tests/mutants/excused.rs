//! Checks the exact list of skipped cases, and that a mutation alone makes cases fail.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use queue_testkit::conformance::{CaseInfo, Promise, Suite, Tier};

use crate::mutated::Before;
use crate::subject::{Mutant, Mutation};

/// Each skipped case and the first requirement that the backend does not declare. The storages of
/// mutants have no backup, and none can be damaged.
const EXCUSED: [&str; 9] = [
    "q04_a_lease_of_before_a_restore_settles_nothing: needs a storage that can be restored, but `Storage::back_up` returns none",
    "q12_a_worker_that_a_restore_removed_is_lost_and_registers_anew: needs a storage that can be restored, but `Storage::back_up` returns none",
    "q13_jobs_that_a_restore_brought_back_are_claimed: needs a storage that can be restored, but `Storage::back_up` returns none",
    "q16_a_damaged_job_that_is_inserted_again_is_corrupt: needs a job that is damaged, but `Storage::damage` returns false",
    "q16_a_job_that_a_restore_removed_is_entered_anew: needs a storage that can be restored, but `Storage::back_up` returns none",
    "q17_kinds_and_queues_are_what_they_are_called_after_a_restore: needs a storage that can be restored, but `Storage::back_up` returns none",
    "q19_a_damaged_job_hides_no_other: needs a job that is damaged, but `Storage::damage` returns false",
    "q22_a_list_with_a_damaged_job_is_corrupt_by_name: needs a job that is damaged, but `Storage::damage` returns false",
    "q22_a_read_of_a_damaged_job_is_corrupt_by_name: needs a job that is damaged, but `Storage::damage` returns false",
];

#[test]
fn backend_skips_exactly_these_cases() {
    let sound = Mutant { mutation: Mutation::None, reached: Arc::new(AtomicU64::new(0)) };
    let excused = Suite::new(sound).unwrap().excused();
    let mut excused: Vec<String> =
        excused.into_iter().map(|(case, missing)| format!("{}: {missing}", case.name())).collect();
    excused.sort();
    assert_eq!(excused, EXCUSED);
}

struct Nothing;

impl Before for Nothing {}

/// A trigger that only counts.
const COUNTS: &str = "CREATE TRIGGER IF NOT EXISTS mutant AFTER UPDATE OF claim ON queue_live BEGIN
        UPDATE mutant_reached SET times = times + 1;
    END";

#[test]
fn harness_without_mutation_passes() {
    for mutation in [Mutation::Before(|| Arc::new(Nothing)), Mutation::Trigger(COUNTS)] {
        let suite = Suite::new(Mutant { mutation, reached: Arc::new(AtomicU64::new(0)) }).unwrap();
        let is_run = |case: &CaseInfo| {
            let promises = [Promise::FencedSettle, Promise::ExpiryRecovers, Promise::HeartbeatExtends];
            case.tier() <= Tier::Race && promises.into_iter().any(|promise| case.proves(promise))
        };
        for case in suite.applicable().into_iter().filter(is_run) {
            suite.run(case.name()).unwrap();
        }
    }
}
