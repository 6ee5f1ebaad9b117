//! Cases that prove several promises by the same means: one file per idea.

mod amounts;
mod clock_back;
mod combined;
mod damaged;
mod doubts;
mod dropped_wake_ups;
mod filtered_receivers;
mod histories;
mod insert_and_claim;
mod insert_and_claim_faults;
mod long_lists;
mod lost_answers;
mod outages;
mod random;
mod ready_queues;
mod restored;
mod stopped_processes;
mod storage_clock;
mod times_of_replies;
mod two_steps;
mod upkeep_goes_on;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[
    amounts::CASES,
    clock_back::CASES,
    combined::CASES,
    damaged::CASES,
    doubts::CASES,
    dropped_wake_ups::CASES,
    filtered_receivers::CASES,
    histories::CASES,
    insert_and_claim::CASES,
    insert_and_claim_faults::CASES,
    long_lists::CASES,
    lost_answers::CASES,
    outages::CASES,
    random::CASES,
    ready_queues::CASES,
    restored::CASES,
    stopped_processes::CASES,
    storage_clock::CASES,
    times_of_replies::CASES,
    two_steps::CASES,
    upkeep_goes_on::CASES,
];
