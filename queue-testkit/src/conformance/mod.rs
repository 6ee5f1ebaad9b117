//! The suite that proves a storage backend right, promise by promise.
//!
//! A backend's author writes one test file, without the standard harness:
//!
//! ```toml
//! [dev-dependencies]
//! queue-testkit = { version = "0.1", features = ["conformance"] }
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
//!         Ok(Arc::new(Jobs(MemoryBackend::new()))) // a database would go to a folder of its own
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
//! What to write first, and which traps there are, is in the guide *Writing a backend*
//! (`docs/writing-a-backend.md` in the repository), which follows a complete example; how to run the suite on every
//! change is in `docs/conformance-in-ci.md`.
//!
//! # Processes that are killed
//!
//! The tiers `crash` and `soak` start the test program again as child processes, which enqueue and work on the
//! parent's storage, kill them at named points and at random moments, stop and continue them. The history of all
//! processes is then checked against the rows. These cases need two more methods, and Unix; without them they are
//! ignored, with that as the reason:
//!
//! ```
//! # use std::{path::PathBuf, sync::Arc};
//! # use async_trait::async_trait;
//! # use queue_core::{Backend, MemoryBackend};
//! # use queue_testkit::conformance::{SetupResult, Storage, Subject};
//! # struct Database;
//! # struct Folder(PathBuf);
//! # async fn open(path: &str) -> SetupResult<Arc<dyn Backend>> { let _ = path; Ok(Arc::new(MemoryBackend::new())) }
//! #[async_trait]
//! impl Storage for Folder {
//! #   async fn open(&self) -> SetupResult<Arc<dyn Backend>> { open("").await }
//!     // …
//!     fn address(&self) -> Option<String> {
//!         Some(self.0.display().to_string()) // a path, a URL: whatever a process needs to find it
//!     }
//! }
//!
//! #[async_trait]
//! impl Subject for Database {
//! #   async fn create(&self) -> SetupResult<Arc<dyn Storage>> { Ok(Arc::new(Folder(PathBuf::new()))) }
//!     // …
//!     async fn attach(&self, address: &str) -> SetupResult<Arc<dyn Backend>> {
//!         open(address).await
//!     }
//! }
//! ```
//!
//! [`main`] sees by itself whether it runs in such a child, which calls nothing but `attach`. So a server that
//! tests need is started by the first `create`, not before `main`. How many processes were killed is told at the
//! end: a run of the whole tier fails unless there were 100, half of which held a lease or had a write under way.
//! For children of a backend's own tests, see [`child`](crate::child).
//!
//! # Choosing what runs
//!
//! Each case is a trial of its own, with the usual arguments of `cargo test`: a part of a name
//! (`q13_` is a promise), `--exact`, `--list`, `--test-threads`. A case that needs something the
//! backend does not declare is shown as ignored, with what it needs. These variables are read:
//!
//! | variable | meaning |
//! |---|---|
//! | `QUEUE_TEST_SEED` | the seed of random cases, as a failure prints it |
//! | `QUEUE_TEST_SEQUENCES` | how many random sequences a random case runs at least; it draws on while a rare state was not met |
//! | `QUEUE_TEST_TIERS` | the tiers to run, of `fast`, `race`, `fault`, `crash`, `soak`, separated by commas, or `all`; `fast,race` unless said |
//! | `QUEUE_TEST_TIMEOUT` | after how many seconds a case has failed |
//! | `QUEUE_TEST_SOAK` | for how many seconds at least the tier `soak` goes on, 20 unless said, in equal rounds of at least 20; a few more follow while a rare state was not met |
//!
//!
//! [`Suite`] runs single cases from a test, and tells which a backend is excused from.
//! # What ends a case
//! The rows that it leaves are audited, and its history is checked: all that any handle was asked and answered can be
//! put in one order in which each answer is right and these rows are what is left. A request without an answer may have
//! been done at any time or never; one that failed otherwise has not been done. In the tiers `crash` and `soak` the history
//! is that of all processes, and a request of a killed one has no answer.
//!
//! # Faults
//! A backend whose storage can be broken on purpose says how by [`Subject::faults`]; [`Fault`] has the list and what each
//! is to do. Cases of the tier `fault` then run once for each, as `q01_…::locked`; those of other faults are shown as
//! ignored. Where one makes a handle wait for an answer or a lock, [`FaultyStorage::open_impatient`] gives one that does not
//! wait for long. The [`proxy`](crate::proxy) brings about most of what can happen between a client and its server. The
//! sources of this workspace have three examples: the in-memory backend behind a pretended line, SQLite with a second
//! process at the file, PostgreSQL with all of it.

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
mod wakes;

pub use fault::{Fault, FaultyStorage, Injected, PATIENCE};
pub use harness::main;
pub use promise::Promise;
pub use storage::{Backup, SetupResult, Storage};
pub use subject::Subject;
pub use suite::{CaseFailure, CaseInfo, Suite, cases};
pub use tier::Tier;
