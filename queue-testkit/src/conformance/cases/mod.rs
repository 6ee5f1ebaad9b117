//! The table of cases: one folder per promise, with one file per tier or idea.
//!
//! | the cases of | are in |
//! |---|---|
//! | the tier `fast` | `fast.rs`, or one file per idea |
//! | the tier `race` | `races.rs`; with workers of the runtime `programs.rs` |
//! | the tier `fault` | `faults.rs` |
//! | the tier `crash` | `kills.rs` |
//! | the tier `soak` | `soak.rs` |
//! | several promises, by the same means | the folder `several_promises`, one file per idea |

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
mod q21_migrate_safe;
mod q22_honest_errors;
mod q23_schedule_once;
mod several_promises;

use super::case::Case;

/// The compiler reports a folder that is missing here, because its cases are dead code.
const FOLDERS: &[&[&[Case]]] = &[
    q01_no_lost_ack::FILES,
    q02_no_phantom::FILES,
    q03_single_live_lease::FILES,
    q04_fenced_settle::FILES,
    q05_batch_atomic::FILES,
    q06_tx_enqueue::FILES,
    q07_attempt_bound::FILES,
    q08_terminal_final::FILES,
    q09_cancel_linearizable::FILES,
    q10_result_iff_complete::FILES,
    q11_expiry_recovers::FILES,
    q12_heartbeat_extends::FILES,
    q13_priority_order::FILES,
    q14_not_before::FILES,
    q15_unique_once::FILES,
    q16_idempotent_enqueue::FILES,
    q17_queue_isolation::FILES,
    q19_no_starvation::FILES,
    q20_payload_fidelity::FILES,
    q21_migrate_safe::FILES,
    q22_honest_errors::FILES,
    q23_schedule_once::FILES,
    several_promises::FILES,
];

/// All cases in the order of the promises, then the cases of several promises.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    FOLDERS.iter().copied().flatten().copied().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::conformance::case::Tier;

    #[test]
    fn every_case_has_a_name_of_its_own_and_a_promise() {
        let mut names = BTreeSet::new();
        for case in all() {
            assert!(names.insert(case.name), "two cases have the name {}", case.name);
            let promise = case.promise().unwrap_or_else(|| panic!("{} names no promise", case.name));
            assert!(case.name.starts_with(&format!("q{:02}_", promise.number())), "{}", case.name);
        }
    }

    /// The files of the cases, with their paths from the folder of this file.
    fn files() -> BTreeMap<PathBuf, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance/cases");
        let (mut folders, mut files) = (vec![root.clone()], BTreeMap::new());
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap().to_owned();
                    files.insert(name, fs::read_to_string(&path).unwrap());
                }
            }
        }
        files
    }

    #[test]
    fn every_case_of_every_file_is_in_the_table() {
        let listed: BTreeSet<&str> = all().map(|case| case.name).collect();
        for line in files().values().flat_map(|text| text.lines()) {
            if let Some(name) = line.strip_prefix("async fn q").and_then(|rest| rest.split('(').next()) {
                assert!(listed.contains(format!("q{name}").as_str()), "q{name} is not in a table");
            }
        }
    }

    /// The tier of a file in the folder of a promise.
    fn tier_of(file: &str) -> Tier {
        match file {
            "races" | "programs" => Tier::Race,
            "faults" => Tier::Fault,
            "kills" => Tier::Crash,
            "soak" => Tier::Soak,
            _ => Tier::Fast,
        }
    }

    #[test]
    fn every_case_is_in_the_folder_of_its_promise_and_the_file_of_its_tier() {
        for (path, text) in files() {
            let cases: Vec<&Case> =
                all().filter(|case| text.contains(&format!("async fn {}(", case.name))).collect();
            let folder = path.parent().unwrap().to_str().unwrap();
            if folder == "several_promises" {
                let promises: BTreeSet<_> =
                    cases.iter().filter_map(|case| Some(case.promise()?.number())).collect();
                assert!(
                    path.ends_with("mod.rs") || promises.len() > 1,
                    "{} proves only one promise",
                    path.display()
                );
                continue;
            }
            let file = path.file_stem().unwrap().to_str().unwrap();
            for case in cases {
                let promise = case.promise().unwrap();
                let name = promise.name().replace('-', "_");
                assert_eq!(folder, format!("q{:02}_{name}", promise.number()), "{}", case.name);
                assert_eq!(tier_of(file), case.tier, "{} in {}", case.name, path.display());
            }
        }
    }
}
