//! Helpers for tests of programs that use the queue, and the conformance suite that proves a storage
//! backend right.
//!
//! | to test | use |
//! |---|---|
//! | code that registers or enqueues | [`FakeQueue`] |
//! | a handler | [`run_inline`] |
//! | a storage backend | the module `conformance`, with the feature of that name |
//! | a backend whose server goes away, or answers too late | the module `proxy`, with the same feature |
//! | a backend whose users are killed or stopped | the module `child`, with the same feature |

#[cfg(feature = "conformance")]
pub mod child;
#[cfg(feature = "conformance")]
pub mod conformance;
mod fake_queue;
mod inline;
#[cfg(feature = "conformance")]
pub mod proxy;

pub use fake_queue::FakeQueue;
pub use inline::{Inline, run_inline};
