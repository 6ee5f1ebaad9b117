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
//! Each case is a trial of its own, with the usual arguments of `cargo test`: a part of a name
//! (`q13_` is a promise), `--exact`, `--list`, `--test-threads`. A case that needs something the
//! backend does not declare is shown as ignored, with what it needs. These variables are read:
//!
//! | variable | meaning |
//! |---|---|
//! | `QUEUE_TEST_SEED` | the seed of random cases, as a failure prints it |
//! | `QUEUE_TEST_SEQUENCES` | how many random sequences a random case runs |
//! | `QUEUE_TEST_TIERS` | the tiers to run, of `fast`, `race`, `fault`, `crash`, `soak`, separated by commas, or `all`; `fast,race` unless said |
//! | `QUEUE_TEST_TIMEOUT` | after how many seconds a case has failed |
//!
//! [`Suite`] runs single cases from a test, and tells which a backend is excused from.

mod audit;
mod case;
mod cases;
mod check;
mod clock;
mod dropped;
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
mod session;
mod settings;
mod spec;
mod subject;
mod suite;

pub use case::Tier;
pub use harness::main;
pub use promise::Promise;
pub use subject::{SetupResult, Storage, Subject};
pub use suite::{CaseFailure, CaseInfo, Suite, cases};
