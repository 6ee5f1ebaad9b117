//! One file per idea that proves several promises with the same means.

mod doubts;
mod insert_and_claim;
mod lost_answers;
mod outages;
mod random;
mod ready_queues;
mod restored;
mod stopped_processes;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[
    doubts::CASES,
    insert_and_claim::CASES,
    lost_answers::CASES,
    outages::CASES,
    random::CASES,
    ready_queues::CASES,
    restored::CASES,
    stopped_processes::CASES,
];
