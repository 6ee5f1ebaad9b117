//! The times of expressions where the clocks of some zones change. `cargo bench -p queue-schedule`
//! compares those of all zones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod walk;

use walk::{Tally, changes, expressions};

/// Zones with odd changes: half an hour, a whole day, in Ramadan, at midnight, two hours, and in
/// the southern autumn.
const SAMPLE: [&str; 10] = [
    "Africa/Casablanca",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",
    "Pacific/Chatham",
];

#[test]
fn fires_as_vixie_cron_at_changes_of_a_sample() {
    let all = expressions();
    let mut tally = Tally::default();
    for zone in SAMPLE {
        for (number, change) in changes(zone).into_iter().enumerate() {
            // Other expressions at each change, so that a zone sees all of them.
            let expressions = all.iter().skip(number % 100).step_by(100);
            tally.compare(zone, change, expressions);
        }
    }
    assert!(tally.changes > 500 && tally.slots > 5_000, "{tally:?}");
    assert_eq!(tally.mismatches, Vec::<String>::new());
}
