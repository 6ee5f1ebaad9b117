//! The table of cases: one file a promise, or a part of one.

mod doubts;
mod insert_and_claim;
mod outages;
mod q01_faults;
mod q01_kills;
mod q01_no_lost_ack;
mod q01_programs;
mod q01_races;
mod q01_soak;
mod q02_no_phantom;
mod q03_kills;
mod q03_races;
mod q03_single_live_lease;
mod q04_faults;
mod q04_fenced_settle;
mod q04_repeated_settle;
mod q05_batch_atomic;
mod q05_faults;
mod q07_attempt_bound;
mod q07_kills;
mod q07_last_attempts;
mod q08_prune;
mod q08_terminal_final;
mod q09_cancel_linearizable;
mod q09_races;
mod q10_kills;
mod q10_outages;
mod q10_result_iff_complete;
mod q11_expiry_recovers;
mod q11_kills;
mod q11_races;
mod q11_rescue;
mod q11_stops;
mod q12_heartbeat_extends;
mod q12_late_rescuer;
mod q13_head_order;
mod q13_later_claims;
mod q14_not_before;
mod q16_border;
mod q16_idempotent_enqueue;
mod q17_pause;
mod q19_no_starvation;
mod q19_programs;
mod q19_ready_queues;
mod q20_fields;
mod q20_payload_fidelity;
mod q21_kills;
mod q21_migrate_safe;
mod q22_border;
mod q22_dropped;
mod q22_dropped_at_each_poll;
mod q22_faults;
mod q22_honest_errors;
mod q22_races;
mod random;
mod restored;

use super::case::Case;

/// A file that is missing here is dead code, which the compiler reports.
const FILES: &[&[Case]] = &[
    q01_kills::CASES,
    q01_no_lost_ack::CASES,
    q01_programs::CASES,
    q01_races::CASES,
    q02_no_phantom::CASES,
    q01_soak::CASES,
    insert_and_claim::CASES,
    q03_kills::CASES,
    q03_races::CASES,
    q03_single_live_lease::CASES,
    q04_fenced_settle::CASES,
    q04_repeated_settle::CASES,
    q05_batch_atomic::CASES,
    q07_attempt_bound::CASES,
    q07_kills::CASES,
    q07_last_attempts::CASES,
    q08_prune::CASES,
    q08_terminal_final::CASES,
    q09_cancel_linearizable::CASES,
    q09_races::CASES,
    q10_kills::CASES,
    q10_result_iff_complete::CASES,
    q11_expiry_recovers::CASES,
    q11_kills::CASES,
    q11_races::CASES,
    q11_rescue::CASES,
    q11_stops::CASES,
    q12_heartbeat_extends::CASES,
    q12_late_rescuer::CASES,
    q13_later_claims::CASES,
    q13_head_order::CASES,
    q14_not_before::CASES,
    q16_border::CASES,
    q16_idempotent_enqueue::CASES,
    q17_pause::CASES,
    q19_no_starvation::CASES,
    q19_programs::CASES,
    q19_ready_queues::CASES,
    q20_fields::CASES,
    q20_payload_fidelity::CASES,
    q21_kills::CASES,
    q21_migrate_safe::CASES,
    q22_border::CASES,
    q22_dropped::CASES,
    q22_dropped_at_each_poll::CASES,
    q22_honest_errors::CASES,
    q22_races::CASES,
    random::CASES,
    restored::CASES,
    q01_faults::CASES,
    q10_outages::CASES,
    outages::CASES,
    doubts::CASES,
    q04_faults::CASES,
    q05_faults::CASES,
    q22_faults::CASES,
];

/// Every case, in the order of the promises; then those of files that concern several.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    FILES.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_and_a_promise() {
        let mut names = BTreeSet::new();
        for case in all() {
            assert!(names.insert(case.name), "two cases are called {}", case.name);
            let promise = case.promise().unwrap_or_else(|| panic!("{} names no promise", case.name));
            assert!(case.name.starts_with(&format!("q{:02}_", promise.number())), "{}", case.name);
        }
    }

    #[test]
    fn every_case_of_every_file_is_in_the_table() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance/cases");
        let listed: BTreeSet<&str> = all().map(|case| case.name).collect();
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            for line in text.lines() {
                let Some(name) = line.strip_prefix("async fn q").and_then(|rest| rest.split('(').next())
                else {
                    continue;
                };
                assert!(listed.contains(format!("q{name}").as_str()), "q{name} is in no table");
            }
        }
    }
}
