//! Checks the table in RELIABILITY.md, which lists each promise with its cases and mutants.
//!
//! `QUEUE_TEST_WRITE=1 cargo test -p queue-testkit --all-features --test reliability` updates it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use queue_testkit::conformance::{Promise, Tier, cases};

const BEGIN: &str = "<!-- table: written by queue-testkit/tests/reliability.rs -->\n";
const END: &str = "<!-- end of the table -->\n";

/// The folders with mutants, and their backends.
const MUTANTS: [(&str, &str); 4] = [
    ("queue-testkit/tests/mutants", "memory"),
    ("queue-sqlite/tests/mutants", "SQLite"),
    ("queue-sqlite/tests/killed", "SQLite, killed"),
    ("queue-postgres/tests/mutants", "PostgreSQL"),
];

/// Promises without a feature yet, so that no mutant can break them.
const NOT_BUILT: [u8; 1] = [18];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The names of the mutants of each promise, in the files of a folder.
fn mutants(folder: &str) -> BTreeMap<u8, Vec<String>> {
    let mut found: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for (promise, name) in text.lines().filter_map(parse_entry) {
            found.entry(promise).or_default().push(name.to_owned());
        }
    }
    found.values_mut().for_each(|names| names.sort());
    found
}

/// Parses a line such as `Q4 settles_without_the_fence => …` in a table of mutants.
fn parse_entry(line: &str) -> Option<(u8, &str)> {
    let (promise, name) = line.split_once(" => ")?.0.trim_start().strip_prefix('Q')?.split_once(' ')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    Some((promise.parse().ok()?, name)).filter(|_| is_name)
}

/// The number of cases of a promise per tier.
fn counted(promise: Promise) -> String {
    let number = |tier: Tier| cases().filter(|case| case.proves(promise) && case.tier() == tier).count();
    let tiers = Tier::ALL.into_iter().map(|tier| (number(tier), tier.as_str()));
    let parts: Vec<String> =
        tiers.filter(|(many, _)| *many > 0).map(|(many, tier)| format!("{many} {tier}")).collect();
    if parts.is_empty() {
        return "none: the feature is not built yet".to_owned();
    }
    format!("`q{:02}_*`: {}", promise.number(), parts.join(", "))
}

fn table() -> String {
    let found = MUTANTS.map(|(folder, place)| (place, mutants(folder)));
    let mut table = "| promise | in words | cases | broken by |\n|---|---|---|---|\n".to_owned();
    for promise in Promise::ALL {
        let named = |(place, names): &(&str, BTreeMap<u8, Vec<String>>)| {
            Some(format!("{place}: {}", names.get(&promise.number())?.join(", ")))
        };
        let broken: Vec<String> = found.iter().filter_map(named).collect();
        let (number, name, words) = (promise.number(), promise.name(), promise.words());
        table +=
            &format!("| **Q{number}** {name} | {words} | {} | {} |\n", counted(*promise), broken.join("; "));
    }
    let all = found.iter().map(|(place, names)| (place, names.values().map(Vec::len).sum::<usize>()));
    let sums: Vec<String> = all.map(|(place, many)| format!("{many} on {place}")).collect();
    table + &format!("\n{} cases; mutants: {}.\n", cases().count(), sums.join(", "))
}

#[test]
fn the_table_in_reliability_md_is_true() {
    let file = root().join("RELIABILITY.md");
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (seen, after) = rest.split_once(END).unwrap();
    let expected = table();
    if seen != expected && std::env::var_os("QUEUE_TEST_WRITE").is_some() {
        fs::write(&file, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert!(seen == expected, "set QUEUE_TEST_WRITE=1 to update it; the table should be:\n{expected}");
}

#[test]
fn every_promise_that_can_be_broken_has_cases_and_a_mutant() {
    let found = MUTANTS.map(|(folder, _)| mutants(folder));
    for promise in Promise::ALL {
        let number = promise.number();
        let is_built = !NOT_BUILT.contains(&number);
        assert_eq!(cases().any(|case| case.proves(*promise)), is_built, "cases of {promise}");
        assert_eq!(found.iter().any(|names| names.contains_key(&number)), is_built, "mutants of {promise}");
    }
}

/// Each promise number in the text must exist.
#[test]
fn what_is_said_beside_the_table_is_said_of_promises_that_exist() {
    let text = fs::read_to_string(root().join("RELIABILITY.md")).unwrap();
    for word in text.split(|char: char| !char.is_ascii_alphanumeric()) {
        if let Some(Ok(number)) = word.strip_prefix('Q').map(str::parse::<u8>) {
            assert!(
                Promise::ALL.iter().any(|promise| promise.number() == number),
                "the text names {word}, which is not a promise"
            );
        }
    }
}

#[test]
fn only_an_entry_of_a_table_is_taken_for_a_mutant() {
    assert_eq!(
        parse_entry("    Q4 settles_without_the_fence => Settles,"),
        Some((4, "settles_without_the_fence"))
    );
    for line in ["/// Q4 a_comment => Settles", "    Q4 Upper => x", "    Qx name => x", "    Q4 name"] {
        assert_eq!(parse_entry(line), None, "{line}");
    }
}
