//! The options in `#[task(…)]`.

use std::collections::HashSet;
use std::time::Duration;

use proc_macro2::TokenTree;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{DeriveInput, Error, Ident, LitStr, Path, Result, Token, Type, parse_quote};

use crate::errors::Errors;
use crate::schedule::{Schedule, Times};
use crate::unique::{self, Unique};
use crate::value::Backoff;
use crate::{shape, value};

const NO_NAME: &str = "expected an option, e.g. `kind = \"send-email\"`";

/// The checked options of a task.
pub(crate) struct Options {
    pub(crate) kind: LitStr,
    pub(crate) output: Type,
    pub(crate) crate_path: Path,
    pub(crate) job: JobOptions,
    pub(crate) schedule: Option<Schedule>,
}

/// The options of its jobs; `None` means the default of the library.
#[derive(Default)]
pub(crate) struct JobOptions {
    pub(crate) queue: Option<LitStr>,
    pub(crate) priority: Option<i16>,
    pub(crate) max_retries: Option<u16>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) unique: Option<Unique>,
}

/// Reads the options of a type, and checks that the type can be a task. Returns the options as far
/// as they are right, and the errors.
pub(crate) fn read(input: &DeriveInput) -> (Options, Option<Error>) {
    let mut reader = Reader::default();
    shape::check(input, &mut reader.errors);
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("task")) {
        let result = attribute.parse_args_with(|input: ParseStream<'_>| reader.read_list(input));
        result.unwrap_or_else(|error| reader.errors.push(error));
    }
    reader.check_unique(input);
    reader.finish(&input.ident)
}

#[derive(Default)]
struct Reader {
    seen: HashSet<String>,
    /// Holds its error, because an invalid kind is not reported as missing.
    kind: Option<Result<LitStr>>,
    output: Option<Type>,
    crate_path: Option<Path>,
    job: JobOptions,
    times: Times,
    errors: Errors,
}

impl Reader {
    /// Reads options up to the end, also after an error, so that all errors are reported.
    fn read_list(&mut self, input: ParseStream<'_>) -> Result<()> {
        while !input.is_empty() {
            self.read_option(input).unwrap_or_else(|error| self.errors.push(error));
            skip_option(input)?;
        }
        Ok(())
    }

    fn read_option(&mut self, input: ParseStream<'_>) -> Result<()> {
        let name = input.call(Ident::parse_any).map_err(|error| Error::new(error.span(), NO_NAME))?;
        let text = name.to_string();
        if !self.seen.insert(text.clone()) {
            return Err(Error::new(name.span(), format!("`{text}` is given twice")));
        }
        match text.as_str() {
            "kind" => self.kind = Some(value::name(input, value::KIND)),
            "queue" => self.job.queue = Some(value::name(input, value::QUEUE)?),
            "priority" => self.job.priority = Some(value::integer(input, value::PRIORITY)?),
            "max_retries" => self.job.max_retries = Some(value::integer(input, value::MAX_RETRIES)?),
            "timeout" => self.job.timeout = Some(value::timeout(input)?),
            "backoff" => self.job.backoff = Some(value::backoff(input)?),
            "unique" => self.job.unique = Some(unique::read(input)?),
            "cron" => self.times.read_cron(input)?,
            "tz" => self.times.read_zone(input)?,
            "every" => self.times.read_every(input)?,
            "output" => self.output = Some(value::output(input)?),
            "crate" => self.crate_path = Some(value::crate_path(input)?),
            _ => return Err(Error::new(name.span(), unknown(&text))),
        }
        Ok(())
    }

    /// Ignores the option if it names a field that the type does not have.
    fn check_unique(&mut self, input: &DeriveInput) {
        let Some(Err(error)) = self.job.unique.as_ref().map(|unique| unique::check(unique, input)) else {
            return;
        };
        self.errors.push(error);
        self.job.unique = None;
    }

    fn finish(mut self, task: &Ident) -> (Options, Option<Error>) {
        let missing = || Err(Error::new(task.span(), "missing kind: add `#[task(kind = \"…\")]`"));
        let kind = self.kind.unwrap_or_else(missing).unwrap_or_else(|error| {
            self.errors.push(error);
            LitStr::new("invalid", task.span())
        });
        let schedule = self.times.finish().unwrap_or_else(|error| {
            self.errors.push(error);
            None
        });
        let options = Options {
            kind,
            output: self.output.unwrap_or_else(|| parse_quote!(())),
            crate_path: self.crate_path.unwrap_or_else(|| parse_quote!(::queue)),
            job: self.job,
            schedule,
        };
        (options, self.errors.into_one())
    }
}

/// Skips the rest of an option and the comma after it.
fn skip_option(input: ParseStream<'_>) -> Result<()> {
    while !value::at_end(input) {
        input.parse::<TokenTree>()?;
    }
    input.parse::<Option<Token![,]>>().map(drop)
}

fn unknown(name: &str) -> String {
    let meant = match name {
        "name" => "kind",
        "result" => "output",
        "retries" => "max_retries",
        "timezone" | "time_zone" | "zone" => "tz",
        "interval" => "every",
        _ => {
            return format!(
                "unknown option `{name}`; the options are `kind`, `queue`, `priority`, `max_retries`, \
                 `timeout`, `backoff`, `unique`, `cron`, `tz`, `every`, `output` and `crate`"
            );
        }
    };
    format!("unknown option `{name}`: did you mean `{meant}`?")
}
