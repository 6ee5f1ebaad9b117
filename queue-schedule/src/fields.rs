//! The fields of a cron expression, and which of them is wrong.

use std::ops::Range;

use croner::Cron as Pattern;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};

use crate::Invalid;

/// The names of the fields. The seconds may be left out.
const NAMES: [&str; 6] = ["second", "minute", "hour", "day of the month", "month", "day of the week"];

/// Reads an expression of five or six fields, or a nickname such as `@daily`.
pub(crate) fn parse(text: &str) -> Result<Pattern, Invalid> {
    let whole = 0..text.len();
    let fields = split(text);
    if let [nickname] = fields.as_slice()
        && let text = &text[nickname.clone()]
        && text.starts_with('@')
    {
        return read(text).map_err(|_| Invalid::new(unknown_nickname(text), nickname.clone()));
    }
    if !matches!(fields.len(), 5 | 6) {
        let message = format!(
            "the cron expression `{text}` has {} fields instead of five (minute, hour, day of the month, month, \
             day of the week), or six with the second first",
            fields.len()
        );
        return Err(Invalid::new(message, whole));
    }
    read(text).map_err(|error| first_fault(text, &fields, &error))
}

/// Whether the expression follows real time where the clocks change. As in Vixie cron, it does if
/// its minute or hour begins with `*`. So it does if its second does.
pub(crate) fn follows_real_time(pattern: &str) -> bool {
    let fields: Vec<&str> = pattern.split_whitespace().collect();
    let times = fields.len().saturating_sub(3);
    fields.iter().take(times).any(|field| field.starts_with(['*', '?']))
}

/// Whether the expression leaves the day open.
pub(crate) fn is_daily(pattern: &str) -> bool {
    let fields: Vec<&str> = pattern.split_whitespace().collect();
    let days = fields.len().saturating_sub(3);
    fields.iter().skip(days).all(|field| matches!(*field, "*" | "?"))
}

fn read(text: &str) -> Result<Pattern, CronError> {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build().parse(text)
}

/// Returns the places of the fields.
fn split(text: &str) -> Vec<Range<usize>> {
    let start = text.as_ptr().addr();
    let place = |field: &str| {
        let from = field.as_ptr().addr() - start;
        from..from + field.len()
    };
    text.split_whitespace().map(place).collect()
}

/// Finds the first field that is wrong on its own, because the parser does not name it.
fn first_fault(text: &str, fields: &[Range<usize>], error: &CronError) -> Invalid {
    for (number, place) in fields.iter().enumerate() {
        let field = &text[place.clone()];
        let others = |(other, _)| if other == number { field } else { "*" };
        let alone: Vec<&str> = fields.iter().enumerate().map(others).collect();
        if let Err(error) = read(&alone.join(" ")) {
            let name = NAMES.iter().skip(NAMES.len() - fields.len()).nth(number).copied().unwrap_or_default();
            let message =
                format!("the {name} `{field}` of the cron expression `{text}` is wrong: {}", cause(&error));
            return Invalid::new(message, place.clone());
        }
    }
    Invalid::new(format!("the cron expression `{text}` is wrong: {}", cause(error)), 0..text.len())
}

fn unknown_nickname(text: &str) -> String {
    format!(
        "`{text}` is not a cron expression; the nicknames are `@yearly`, `@monthly`, `@weekly`, `@daily` and `@hourly`"
    )
}

/// The parser's text in the style of this workspace.
fn cause(error: &CronError) -> String {
    let text = match error {
        CronError::InvalidPattern(text)
        | CronError::IllegalCharacters(text)
        | CronError::ComponentError(text) => text.clone(),
        other => other.to_string(),
    };
    lowercase(text.trim_end_matches('.'))
}

/// Returns the text with a small first letter.
pub(crate) fn lowercase(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
