//! The derive macro `Task`, for payload types of the crate `queue`.
//!
//! Programs use it through `queue` with the feature `derive`.

mod errors;
mod expand;
mod options;
mod schedule;
mod shape;
#[cfg(test)]
mod tests;
mod unique;
mod value;

use proc_macro::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, parse_macro_input};

/// Implements the trait `Task` for a payload type, which is a struct or an enum without generics.
///
/// The type must also implement `Serialize`, `DeserializeOwned` and `Send`.
///
/// # Options
///
/// The options are in `#[task(…)]`, and all but `kind` may be left out.
///
/// | option | sets | default |
/// |---|---|---|
/// | `kind = "charge-order"` | the kind of the jobs; it must not change when the type is renamed | none: it is required |
/// | `queue = "billing"` | the queue | `"default"` |
/// | `priority = 5` | the priority, from -32768 to 32767; higher is more urgent | 0 |
/// | `max_retries = 3` | the maximum number of retries, from 0 to 65535; the first attempt does not count | 10 |
/// | `timeout = "20s"` | the timeout of one attempt, at least `"1us"` | `"10m"` |
/// | `backoff = "200ms..1m"` | the delays of retries, see below | `"30s..6h"` |
/// | `unique` | at most one unfinished job per payload; `unique(order, customer)`: per value of these fields; `keep = "90d"` in the parentheses: also for so long after it was completed; `per = "1h"`: one job per hour of the clock | jobs are not unique |
/// | `cron = "30 2 * * *"` | when a worker inserts a job by itself, see below | never |
/// | `tz = "Europe/Berlin"` | the time zone of `cron` | `"UTC"` |
/// | `every = "10s"` | the interval, at least `"1s"`, at which a worker inserts a job | never |
/// | `output = Receipt` | the type that the handler returns, without quotes | `()` |
/// | `crate = "queue_core"` | the path of the crate with the trait | `"::queue"` |
///
/// The names after `kind` and `queue` have 1 to 128 bytes, no white space and no control
/// characters. A duration is a number with a unit, or several: `"1h 30m"`. The units are those of
/// the crate [`humantime`](https://docs.rs/humantime). A range of durations may also be written
/// with `..=`, and always includes its end.
///
/// # Delays of retries
///
/// | `backoff` | the delay before a retry |
/// |---|---|
/// | `"30s"` | always the same |
/// | `"1s, 10s, 1m"` | one per retry; the last delay repeats |
/// | `"200ms..1m"` | doubles with each retry, from the first delay up to the last; each is shortened by up to 20 % at random |
///
/// They are those of the worker that runs the job. Therefore delays that are changed in the code
/// also apply to jobs that are stored already. A job that was enqueued with a backoff of its own
/// keeps it. For delays by a function, implement the trait by hand, with `RetryPolicy::custom`.
///
/// ```
/// # use queue_core::Task;
/// # use queue_macros::Task;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, Task)]
/// #[task(kind = "poll-bank", backoff = "30s", crate = "queue_core")]
/// struct PollBank;
///
/// #[derive(Serialize, Deserialize, Task)]
/// #[task(kind = "call-back", backoff = "1s, 10s, 1m", crate = "queue_core")]
/// struct CallBack;
/// # assert!(format!("{:?}", PollBank::options()).contains("base: 30s, cap: 30s, jitter: 0"));
/// # assert!(format!("{:?}", CallBack::options()).contains("List([1s, 10s, 60s])"));
/// ```
///
/// # Schedules
///
/// A type with `cron` or `every` must implement `Default`: that value is the payload. Each worker
/// that handles the type stores the schedule when it starts, with the kind as its name. However
/// many workers run, each slot has one job. The expression and the zone are checked while
/// compiling; the zone only if the machine has a database of time zones. For other payloads, or
/// rules for slots that overlap or are missed, use `Worker::schedule`.
///
/// ```
/// # use queue_core::{Schedule, Task};
/// # use queue_macros::Task;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Default, Serialize, Deserialize, Task)]
/// #[task(kind = "clean-up", cron = "30 2 * * *", tz = "Europe/Berlin", crate = "queue_core")]
/// struct CleanUp {}
/// # let expected = Schedule::cron("30 2 * * *").zone("Europe/Berlin");
/// # assert_eq!(CleanUp::schedule().map(|(schedule, _)| schedule), Some(expected));
/// ```
///
/// # Defaults
///
/// The options are the defaults of the kind. A single job may override all but `kind`, `output`
/// and `crate`.
///
/// # Example
///
/// ```
/// use queue_core::Task;
/// use queue_macros::Task;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// pub struct Receipt {
///     pub number: u64,
/// }
///
/// #[derive(Serialize, Deserialize, Task)]
/// #[task(kind = "charge-order", queue = "billing", priority = 5, max_retries = 3)]
/// #[task(timeout = "20s", backoff = "200ms..1m", output = Receipt, crate = "queue_core")]
/// pub struct ChargeOrder {
///     pub order: i64,
/// }
///
/// assert_eq!(ChargeOrder::KIND, "charge-order");
/// ```
#[proc_macro_derive(Task, attributes(task))]
pub fn derive_task(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let (options, errors) = options::read(&input);
    let errors = errors.map(Error::into_compile_error);
    // Also after an error, because otherwise each use of the type would be one more error.
    let can_implement = errors.is_none() || input.generics.params.is_empty();
    let task = can_implement.then(|| expand::task(&input.ident, &options));
    quote!(#errors #task).into()
}
