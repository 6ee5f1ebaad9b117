//! The suite that proves each promise of a storage backend.
//!
//! The author of a backend writes one test file, without the standard harness:
//!
//! ```toml
//! [dev-dependencies]
//! queue-testkit = { git = "https://…/queue.git", features = ["conformance"] }
//!
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! ```
//! use std::{process::ExitCode, sync::Arc};
//! use async_trait::async_trait;
//! use queue_core::{Backend, MemoryBackend};
//! use queue_testkit::conformance::{self, SetupResult, Storage, Subject};
//!
//! struct Memory;
//!
//! #[async_trait]
//! impl Subject for Memory {
//!     async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
//!         Ok(Arc::new(Jobs(MemoryBackend::new()))) // a file database would use a new folder
//!     }
//! }
//!
//! struct Jobs(MemoryBackend);
//!
//! #[async_trait]
//! impl Storage for Jobs {
//!     async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
//!         Ok(Arc::new(self.0.clone()))
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     # if true { return ExitCode::SUCCESS }
//!     conformance::main(Memory)
//! }
//! ```
//!
//! The guide *Writing a backend* (`docs/writing-a-backend.md` in the repository) follows a complete
//! example and names the traps. `docs/conformance-in-ci.md` shows how to run the suite on every
//! change. `docs/what-green-proves.md` says what a green run proves, and what it does not.
//!
//! # Processes that are killed
//!
//! The tiers `crash` and `soak` start the test program again as child processes. The children
//! enqueue and work on the parent's storage. The parent kills, stops and continues them at named
//! points and at random moments. The suite then checks the history of all processes against the
//! rows. These cases need Unix and two more methods; otherwise they are ignored, and the reason is
//! shown:
//!
//! ```
//! # use std::{path::PathBuf, sync::Arc};
//! # use async_trait::async_trait;
//! # use queue_core::{Backend, MemoryBackend};
//! # use queue_testkit::conformance::{SetupResult, Storage, Subject};
//! # struct Database;
//! # struct Folder(PathBuf);
//! # async fn open(_: &str) -> SetupResult<Arc<dyn Backend>> { Ok(Arc::new(MemoryBackend::new())) }
//! #[async_trait]
//! impl Storage for Folder {
//! #   async fn open(&self) -> SetupResult<Arc<dyn Backend>> { open("").await }
//!     // …
//!     fn address(&self) -> Option<String> {
//!         Some(self.0.display().to_string()) // a path or a URL
//!     }
//! }
//!
//! #[async_trait]
//! impl Subject for Database {
//! #   async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
//! #       Ok(Arc::new(Folder(PathBuf::new())))
//! #   }
//!     // …
//!     async fn attach(&self, address: &str) -> SetupResult<Arc<dyn Backend>> {
//!         open(address).await
//!     }
//! }
//! ```
//!
//! [`main`] detects that it runs in such a child, and then calls only `attach`. A server for tests
//! must therefore be started by the first `create`, not before `main`. The end of the output shows
//! the number of killed processes. A run of the whole tier must kill at least 100 of them (20
//! if the backend is open in one process at a time), half with a lease or a write in progress;
//! else it is reported as *not shown*. [`child`](crate::child) is for children of a
//! backend's own tests.
//!
//! # Choosing what runs
//!
//! Each case is a separate trial with the usual arguments of `cargo test`: a part of a name (`q13_`
//! is a promise), `--exact`, `--list`, `--test-threads`. If a case needs a capability that the
//! backend does not declare, it is shown as ignored, with that reason. The suite reads these
//! variables:
//!
//! | variable | meaning |
//! |---|---|
//! | `QUEUE_TEST_SEED` | seed of random cases, as a failure prints it (default: random) |
//! | `QUEUE_TEST_SEQUENCES` | minimum number of random sequences per random case (default: 96); a case runs more until each rare state was reached |
//! | `QUEUE_TEST_SHRINKS` | maximum number of attempts to shrink a failing case (default: 400) |
//! | `QUEUE_TEST_TIERS` | tiers to run, of `fast`, `race`, `fault`, `crash`, `soak`, separated by commas, or `all` (default: `fast,race`) |
//! | `QUEUE_TEST_WAIT` | seconds that a case waits for one thing, such as a reply or a wake-up (default: 30) |
//! | `QUEUE_TEST_TIMEOUT` | seconds after which a case times out (default: 600) |
//! | `QUEUE_TEST_NOT_SHOWN` | `report` (default) or `fail`: the result of a run in which a case did not reach its situation |
//! | `QUEUE_TEST_SOAK` | minimum seconds of the tier `soak`, in equal rounds of at least 20 (default: 20); a few more rounds follow until each rare state was reached |
//!
//! [`Suite`] runs single cases from a test and lists the cases that a backend is excused from.
//!
//! Some cases race requests, interrupt them or break connections, until enough of them have met. On
//! a very slow or very fast backend, or under load, they may not meet.
//! That is no failure: such a case passes, and the end of the output lists it with the reason as
//! *not shown*.
//!
//! # Checks after each case
//!
//! The suite audits the rows that a case leaves, and checks its history. There must be one order of
//! all requests in which each reply is right and these rows remain. A request without a reply may
//! be executed at any time or never. A request with an error other than an unknown outcome was not
//! executed. In the tiers `crash` and `soak` the history is that of all processes. A request of a
//! killed process has no reply.
//!
//! # Faults
//!
//! [`Subject::faults`] lists the faults that the tests of a backend can cause; [`Fault`] defines
//! each. A case of the tier `fault` runs once per fault, as `q01_…::locked`; with the other faults
//! it is shown as ignored. If a fault makes a handle wait for a reply or a lock,
//! [`FaultyStorage::open_impatient`] should open a handle with a short timeout. The
//! [`proxy`](crate::proxy) causes most faults between a client and its server. This workspace has
//! four examples: the in-memory backend behind a simulated connection, a redb file on a simulated
//! disk (`examples/custom_backend`), SQLite with a second process that uses the file, and
//! PostgreSQL with all faults.

mod act;
mod audit;
mod case;
mod cases;
mod check;
mod clock;
mod crash;
mod fault;
mod harness;
mod history;
mod journal;
mod json;
mod kit;
mod model;
mod pass;
mod program;
mod promise;
mod property;
mod race;
mod recorded;
mod report;
mod runtime;
mod session;
mod settings;
mod spec;
mod storage;
mod subject;
mod suite;
mod tier;
mod wait;
mod wakes;

pub use fault::{Fault, FaultyStorage, Injected, PATIENCE};
pub use harness::main;
pub use pass::Pass;
pub use promise::Promise;
pub use storage::{ApplicationTransaction, Backup, Handles, SetupResult, Storage};
pub use subject::Subject;
pub use suite::{CaseFailure, CaseInfo, Suite, cases};
pub use tier::Tier;
