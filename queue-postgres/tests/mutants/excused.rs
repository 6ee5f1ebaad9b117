//! The exact list of cases that the backend is excused from. Also checks that the cases detect the
//! mutations, not the setup.

use std::sync::Arc;

use queue_testkit::conformance::{Promise, Suite, Tier};
use queue_testserver::url;

use crate::subject::{Mutant, Wrong};
use crate::sweeper::Sweeper;
use crate::test_schema::unique;

/// Each case with the first need that the backend does not declare. The mutants' storages have no
/// backup.
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
fn backend_is_excused_from_exactly_these_cases() {
    let sweeper = Arc::new(Sweeper::new());
    sweeper.start(&url().unwrap());
    let suite = Suite::new(Mutant::new(Wrong::Nothing, unique("sound"), Arc::clone(&sweeper))).unwrap();
    let mut excused: Vec<String> =
        suite.excused().into_iter().map(|(case, missing)| format!("{}: {missing}", case.name())).collect();
    excused.sort();
    assert_eq!(excused, EXCUSED);
    let is_run = |promise| [Promise::ExpiryRecovers, Promise::MigrateSafe].contains(promise);
    for promise in Promise::ALL.iter().filter(|promise| is_run(promise)) {
        for case in
            suite.applicable().iter().filter(|case| case.proves(*promise) && case.tier() <= Tier::Race)
        {
            suite.run(case.name()).unwrap();
        }
    }
    sweeper.finish();
}
