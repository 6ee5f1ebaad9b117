//! Compares the times of all expressions at all changes of all zones' clocks with a walk minute by
//! minute. It takes minutes, and fails if a time differs.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "it fails by panicking, and prints its result")]

#[path = "../tests/walk/mod.rs"]
mod walk;

use std::process::ExitCode;

use jiff::tz::db;
use walk::{Expression, Tally, changes, expressions};

fn main() -> ExitCode {
    let zones: Vec<String> = db().available().map(|name| name.to_string()).collect();
    let all = &expressions();
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let part = |part| compare(zones.iter().skip(part).step_by(threads), all);
        let workers: Vec<_> = (0..threads).map(|number| scope.spawn(move || part(number))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let sum = |count: fn(&Tally) -> usize| tallies.iter().map(count).sum::<usize>();
    let mismatches: Vec<&String> = tallies.iter().flat_map(|tally| &tally.mismatches).collect();
    println!(
        "{} zones, {} changes, {} expressions, {} slots, {} mismatches",
        zones.len(),
        sum(|tally| tally.changes),
        all.len(),
        sum(|tally| tally.slots),
        mismatches.len()
    );
    mismatches.iter().for_each(|mismatch| println!("{mismatch}"));
    if mismatches.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare<'a>(zones: impl Iterator<Item = &'a String>, all: &[Expression]) -> Tally {
    let mut tally = Tally::default();
    for zone in zones {
        for change in changes(zone) {
            tally.compare(zone, change, all);
        }
    }
    tally
}
