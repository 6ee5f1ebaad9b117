//! Tests for authors of storage backends, each part behind the feature of its name.
//!
//! | module and feature | tests |
//! |---|---|
//! | `conformance` | a storage backend, promise by promise; enables the other two |
//! | `sql_contract`, with `conformance` | the SQL by which other drivers enqueue |
//! | `child` | a storage whose processes are killed or stopped at named points |
//! | `proxy` | a client whose server goes away, answers too late, or loses a request or reply |
//!
//! Helpers for tests of programs that use the queue are in `queue::testing`.

#[cfg(feature = "child")]
pub mod child;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "conformance")]
pub mod sql_contract;
