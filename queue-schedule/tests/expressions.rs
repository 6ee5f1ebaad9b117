//! Cron expressions: what is refused, and where the text is wrong; words; well-known days.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use queue_schedule::{Cron, Zone};

fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_second()
}

fn next(cron: &str, zone: &str, after: &str) -> String {
    let next = Cron::parse(cron).unwrap().next_after(&Zone::find(zone).unwrap(), at(after)).unwrap();
    jiff::Timestamp::from_second(next).unwrap().to_string()
}

#[test]
fn half_past_two_in_berlin_fires_once_each_day() {
    // The clocks go from 02:00 to 03:00.
    assert_eq!(next("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z"), "2027-03-28T01:00:00Z");
    assert_eq!(next("30 2 * * *", "Europe/Berlin", "2027-03-28T01:00:00Z"), "2027-03-29T00:30:00Z");
    // They go from 03:00 to 02:00.
    assert_eq!(next("30 2 * * *", "Europe/Berlin", "2027-10-30T12:00:00Z"), "2027-10-31T00:30:00Z");
    assert_eq!(next("30 2 * * *", "Europe/Berlin", "2027-10-31T00:30:00Z"), "2027-11-01T01:30:00Z");
}

#[test]
fn wildcards_follow_real_time() {
    assert_eq!(next("*/30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z"), "2027-03-29T00:00:00Z");
    assert_eq!(next("*/30 * * * *", "Europe/Berlin", "2027-10-31T00:30:00Z"), "2027-10-31T01:00:00Z");
    assert_eq!(next("*/30 * * * *", "Europe/Berlin", "2027-10-31T01:00:00Z"), "2027-10-31T01:30:00Z");
    assert_eq!(next("@hourly", "Europe/Berlin", "2027-03-28T00:00:00Z"), "2027-03-28T01:00:00Z");
}

#[test]
fn day_without_noon_fires_at_its_end() {
    // Samoa had no 30 December 2011.
    assert_eq!(next("0 12 30 * *", "Pacific/Apia", "2011-12-01T00:00:00Z"), "2011-12-30T10:00:00Z");
}

#[test]
fn seconds_are_optional() {
    assert_eq!(next("*/10 * * * * *", "UTC", "2026-01-01T00:00:00Z"), "2026-01-01T00:00:10Z");
    assert_eq!(next("5 0 0 1 1 *", "UTC", "2026-01-01T00:00:05Z"), "2027-01-01T00:00:05Z");
}

#[test]
fn rare_day_is_found() {
    assert_eq!(next("0 0 29 2 +MON", "UTC", "2026-01-01T00:00:00Z"), "2044-02-29T00:00:00Z");
    assert_eq!(next("0 0 29 2 +MON", "Europe/Berlin", "2072-02-29T00:00:00Z"), "2112-02-28T23:00:00Z");
}

#[test]
fn search_ends_with_the_calendar() {
    let cron = Cron::parse("0 0 * * *").unwrap();
    let last = at("4999-12-31T00:00:00Z");
    assert_eq!(cron.next_after(&Zone::utc(), last - 1), Some(last));
    for second in [i64::MAX, i64::MAX - 1, i64::MIN, at("9999-12-30T00:00:00Z")] {
        assert_eq!(cron.next_after(&Zone::utc(), second), None, "{second}");
    }
    assert_eq!(cron.last_until(&Zone::utc(), i64::MAX), None);
    assert_eq!(cron.last_until(&Zone::utc(), i64::MIN), None);
}

#[test]
fn errors_name_the_place() {
    for (text, place, message) in [
        (
            "61 * * * *",
            0..2,
            "the minute `61` of the cron expression `61 * * * *` is wrong: number out of bounds",
        ),
        ("* 25 * * *", 2..4, "the hour `25`"),
        ("0 0 0 * *", 4..5, "the day of the month `0`"),
        ("0 0 * 13 *", 6..8, "the month `13`"),
        ("0 0 * * 8", 8..9, "the day of the week `8`"),
        ("99 0 0 * * *", 0..2, "the second `99`"),
        ("  0 0/5 * * *", 4..7, "the hour `0/5`"),
        ("a * * * *", 0..1, "the minute `a`"),
        ("é * * * *", 0..2, "the minute `é`"),
        ("* * *", 0..5, "the cron expression `* * *` has 3 fields instead of five"),
        ("* * * * * * *", 0..13, "the cron expression `* * * * * * *` has 7 fields"),
        ("", 0..0, "the cron expression `` has 0 fields"),
        ("@reboot", 0..7, "`@reboot` is not a cron expression; the nicknames are `@yearly`"),
        ("0 0 30 2 *", 0..10, "the cron expression `0 0 30 2 *` never fires"),
        ("0 0 31 4,6 *", 0..12, "the cron expression `0 0 31 4,6 *` never fires"),
    ] {
        let error = Cron::parse(text).unwrap_err();
        assert!(error.to_string().starts_with(message), "{text}: {error}");
        assert_eq!(error.place(), place, "{text}");
    }
}

#[test]
fn expressions_are_described() {
    for (cron, words) in [
        ("30 2 * * *", "every day at 02:30"),
        ("*/5 * * * *", "every 5 minutes"),
        ("@hourly", "at minute 0 past every hour"),
        ("0 0 1 * *", "at 00:00, on day 1"),
        ("0 9 * * MON,WED", "at 09:00, on Monday and Wednesday"),
        ("0 0 * * 5#L", "at 00:00, on the last Friday of the month"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("* * * * * *", "every second"),
    ] {
        assert_eq!(Cron::parse(cron).unwrap().describe(), words, "{cron}");
    }
}

#[test]
fn zones_have_the_names_of_the_database() {
    assert_eq!(Zone::find("europe/berlin").unwrap().name(), "Europe/Berlin");
    for name in ["Europe/Berln", "", "CET+1", "local"] {
        let error = Zone::find(name).unwrap_err();
        assert!(error.to_string().starts_with(&format!("there is no time zone `{name}`")), "{error}");
        assert_eq!(error.place(), 0..name.len());
    }
}
