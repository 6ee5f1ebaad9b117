//! Helpers for tests of programs that use the queue, and the conformance suite that proves a storage
//! backend right.
//!
//! | to test | use |
//! |---|---|
//! | code that registers or enqueues | [`FakeQueue`] |
//! | a handler | [`run_inline`] |
//! | what a future leaves that is dropped half-way | [`drop_after`] |
//! | a storage backend | the module `conformance` |
//! | a client whose server goes away, or answers too late | the module `proxy` |
//! | a storage whose users are killed or stopped | the module `child` |
//!
//! Each of these modules is behind the feature of its name; `conformance` enables the other two.

#[cfg(feature = "child")]
pub mod child;
#[cfg(feature = "conformance")]
pub mod conformance;
mod dropped;
mod fake_queue;
mod inline;
#[cfg(feature = "proxy")]
pub mod proxy;

pub use dropped::drop_after;
pub use fake_queue::FakeQueue;
pub use inline::{Inline, run_inline};
