//! The values of options.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, LitInt, LitStr, Path, Result, Token, Type};

/// Equals `queue_core::limits::MAX_NAME_BYTES`; a test compares them.
const MAX_NAME_BYTES: usize = 128;

/// The shortest timeout, because timeouts are stored in whole microseconds.
const MIN_TIMEOUT: Duration = Duration::from_micros(1);

pub(crate) const KIND: &str = "`kind` must be a name in quotes, e.g. `kind = \"send-email\"`";
pub(crate) const QUEUE: &str = "`queue` must be a name in quotes, e.g. `queue = \"mail\"`";
pub(crate) const PRIORITY: &str = "`priority` must be an integer from -32768 to 32767, e.g. `priority = 5`";
pub(crate) const MAX_RETRIES: &str =
    "`max_retries` must be an integer from 0 to 65535, e.g. `max_retries = 3`";
const TIMEOUT: &str = "`timeout` must be a duration in quotes, e.g. `timeout = \"20s\"`";
const BACKOFF: &str = "`backoff` must be a duration, a list or a range in quotes, e.g. `backoff = \"30s\"`, \
    `backoff = \"1s, 10s, 1m\"` or `backoff = \"200ms..1m\"`";
const OUTPUT: &str = "`output` must be a type without quotes, e.g. `output = Receipt`";
const CRATE: &str = "`crate` must be a path in quotes, e.g. `crate = \"queue_core\"`";

/// Reads a checked name. If it has another form, the error is `expected`.
pub(crate) fn name(input: ParseStream<'_>, expected: &str) -> Result<LitStr> {
    let literal: LitStr = assigned(input, expected)?;
    match name_fault(&literal.value()) {
        Some(fault) => Err(Error::new(literal.span(), fault)),
        None => Ok(literal),
    }
}

/// Reads a text. If it has another form, the error is `expected`.
pub(crate) fn text(input: ParseStream<'_>, expected: &str) -> Result<LitStr> {
    assigned(input, expected)
}

/// Reads an integer within the range of `N`, otherwise the error is `expected`.
pub(crate) fn integer<N: FromStr<Err: Display>>(input: ParseStream<'_>, expected: &str) -> Result<N> {
    let literal: LitInt = assigned(input, expected)?;
    literal.base10_parse().map_err(|_| Error::new(literal.span(), expected))
}

/// Reads the timeout of an attempt.
pub(crate) fn timeout(input: ParseStream<'_>) -> Result<Duration> {
    let literal: LitStr = assigned(input, TIMEOUT)?;
    let text = literal.value();
    let timeout = duration(&literal, &text)?;
    if timeout < MIN_TIMEOUT {
        let fault = format!("a timeout of `{text}` is too short, the minimum is `1us`");
        return Err(Error::new(literal.span(), fault));
    }
    Ok(timeout)
}

/// Reads a duration that is not zero, the value of the option of this name.
pub(crate) fn period(input: ParseStream<'_>, name: &Ident) -> Result<Duration> {
    let expected = format!("`{name}` must be a duration in quotes, e.g. `{name} = \"90d\"`");
    let literal: LitStr = assigned(input, &expected)?;
    let text = literal.value();
    let period = duration(&literal, &text)?;
    if period.is_zero() {
        return Err(Error::new(literal.span(), format!("`{name}` must not be zero")));
    }
    Ok(period)
}

/// The delays of retries.
pub(crate) enum Backoff {
    /// Each delay is the same.
    Fixed(Duration),
    /// One delay per retry.
    List(Vec<Duration>),
    /// The delay doubles from the base up to the cap.
    Exponential { base: Duration, cap: Duration },
}

/// Reads the delays of retries.
pub(crate) fn backoff(input: ParseStream<'_>) -> Result<Backoff> {
    let literal: LitStr = assigned(input, BACKOFF)?;
    let text = literal.value();
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let has_range = text.contains("..");
    if parts.contains(&"") || (has_range && parts.len() > 1) {
        return Err(Error::new(literal.span(), BACKOFF));
    }
    if has_range {
        return exponential(&literal, &text);
    }
    let mut delays: Vec<Duration> =
        parts.into_iter().map(|part| duration(&literal, part)).collect::<Result<_>>()?;
    Ok(if delays.len() == 1 { Backoff::Fixed(delays.remove(0)) } else { Backoff::List(delays) })
}

/// Reads the base and the cap of a range.
fn exponential(literal: &LitStr, text: &str) -> Result<Backoff> {
    let Some((base_text, cap_text)) = range(text) else {
        return Err(Error::new(literal.span(), BACKOFF));
    };
    let (base, cap) = (duration(literal, base_text)?, duration(literal, cap_text)?);
    if cap < base {
        let fault = format!("the cap `{cap_text}` is below the base `{base_text}`");
        return Err(Error::new(literal.span(), fault));
    }
    Ok(Backoff::Exponential { base, cap })
}

/// Reads a type.
pub(crate) fn output(input: ParseStream<'_>) -> Result<Type> {
    assigned(input, OUTPUT)
}

/// Reads the path of a crate.
pub(crate) fn crate_path(input: ParseStream<'_>) -> Result<Path> {
    let literal: LitStr = assigned(input, CRATE)?;
    literal.parse_with(Path::parse_mod_style).map_err(|_| Error::new(literal.span(), CRATE))
}

/// Returns whether an option ends here.
pub(crate) fn at_end(input: ParseStream<'_>) -> bool {
    input.is_empty() || input.peek(Token![,])
}

/// Reads `=`, a value and the end of the option, otherwise the error is `expected`.
fn assigned<T: Parse>(input: ParseStream<'_>, expected: &str) -> Result<T> {
    let read = || {
        input.parse::<Token![=]>()?;
        let value = input.parse()?;
        if at_end(input) { Ok(value) } else { Err(input.error(expected)) }
    };
    read().map_err(|error: Error| Error::new(error.span(), expected))
}

/// Splits `a..b` or `a..=b`.
fn range(text: &str) -> Option<(&str, &str)> {
    let (start, end) = text.split_once("..")?;
    let (start, end) = (start.trim(), end.strip_prefix('=').unwrap_or(end).trim());
    (!start.is_empty() && !end.is_empty()).then_some((start, end))
}

/// Reads a duration, a part of this literal.
pub(crate) fn duration(literal: &LitStr, text: &str) -> Result<Duration> {
    humantime::parse_duration(text).map_err(|error| {
        let fault = format!("`{text}` is not a duration, e.g. `20s` or `1h 30m`: {error}");
        Error::new(literal.span(), fault)
    })
}

/// Returns the same text as the errors of names at run time.
fn name_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("the name is empty".to_owned());
    }
    if name.len() > MAX_NAME_BYTES {
        let start: String = name.chars().take(32).collect();
        return Some(format!("`{start}…` is {} bytes long, the limit is {MAX_NAME_BYTES}", name.len()));
    }
    let bad = name.chars().find(|c| c.is_control() || c.is_whitespace())?;
    Some(format!(
        "`{}` holds the character {bad:?}; white space and control characters are not allowed",
        name.escape_debug()
    ))
}
