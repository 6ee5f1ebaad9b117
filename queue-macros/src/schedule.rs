//! The options `cron`, `tz` and `every`: when a job is inserted without a request.

use std::time::Duration;

use proc_macro2::Span;
use syn::parse::ParseStream;
use syn::{Error, LitStr, Result};

use crate::value;

const CRON: &str = "`cron` must be an expression in quotes, e.g. `cron = \"30 2 * * *\"`";
const TZ: &str = "`tz` must be a time zone in quotes, e.g. `tz = \"Europe/Berlin\"`";
const EVERY: &str = "`every` must be a duration in quotes, e.g. `every = \"10s\"`";

/// The shortest interval. Equals `queue_core::limits::MIN_SCHEDULE_INTERVAL`; a test compares them.
pub(crate) const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The times at which a job is inserted.
pub(crate) enum Schedule {
    Cron { expression: LitStr, zone: Option<LitStr> },
    Every { interval: Duration, span: Span },
}

/// The options as they are read.
#[derive(Default)]
pub(crate) struct Times {
    cron: Option<LitStr>,
    zone: Option<LitStr>,
    every: Option<(Duration, Span)>,
}

impl Times {
    /// Reads the value of the option `cron`.
    pub(crate) fn read_cron(&mut self, input: ParseStream<'_>) -> Result<()> {
        // An invalid expression is no missing one.
        let cron = self.cron.insert(value::text(input, CRON)?);
        check_cron(&cron.value()).map_err(|fault| Error::new(cron.span(), fault))
    }

    /// Reads the value of the option `tz`.
    pub(crate) fn read_zone(&mut self, input: ParseStream<'_>) -> Result<()> {
        let zone = self.zone.insert(value::text(input, TZ)?);
        check_zone(&zone.value()).map_err(|fault| Error::new(zone.span(), fault))
    }

    /// Reads the value of the option `every`.
    pub(crate) fn read_every(&mut self, input: ParseStream<'_>) -> Result<()> {
        let literal = value::text(input, EVERY)?;
        check_feature().map_err(|fault| Error::new(literal.span(), fault))?;
        let interval = value::duration(&literal, &literal.value())?;
        if interval < MIN_INTERVAL {
            let fault = format!("the interval `{}` is too short, the minimum is `1s`", literal.value());
            return Err(Error::new(literal.span(), fault));
        }
        self.every = Some((interval, literal.span()));
        Ok(())
    }

    /// Returns the times, if there are any.
    ///
    /// # Errors
    /// Two options contradict each other.
    pub(crate) fn finish(self) -> Result<Option<Schedule>> {
        match (self.cron, self.zone, self.every) {
            (Some(_), _, Some((_, span))) => Err(Error::new(span, "give `cron` or `every`, not both")),
            (None, Some(zone), Some(_)) => Err(Error::new(zone.span(), "an interval has no time zone")),
            (Some(expression), zone, None) => Ok(Some(Schedule::Cron { expression, zone })),
            (None, None, Some((interval, span))) => Ok(Some(Schedule::Every { interval, span })),
            (None, Some(zone), None) => Err(Error::new(zone.span(), "`tz` needs `cron`")),
            (None, None, None) => Ok(None),
        }
    }
}

fn check_feature() -> std::result::Result<(), String> {
    if cfg!(feature = "schedules") {
        return Ok(());
    }
    Err("schedules need the feature `schedules` of the crate `queue`".to_owned())
}

#[cfg(feature = "schedules")]
fn check_cron(expression: &str) -> std::result::Result<(), String> {
    queue_schedule::Cron::parse(expression).map(drop).map_err(|fault| fault.to_string())
}

/// A machine without a database of zones cannot check them; the worker does so when it starts.
#[cfg(feature = "schedules")]
fn check_zone(zone: &str) -> std::result::Result<(), String> {
    match queue_schedule::Zone::find(zone) {
        Err(fault) if queue_schedule::Zone::any_exists() => Err(fault.to_string()),
        _ => Ok(()),
    }
}

#[cfg(not(feature = "schedules"))]
fn check_cron(_: &str) -> std::result::Result<(), String> {
    check_feature()
}

#[cfg(not(feature = "schedules"))]
fn check_zone(_: &str) -> std::result::Result<(), String> {
    Ok(())
}
