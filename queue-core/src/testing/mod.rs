//! Helpers for tests of programs that use the queue.
//!
//! | to test | use |
//! |---|---|
//! | code that registers or enqueues | [`FakeQueue`] |
//! | a handler | [`run_inline`] |
//! | the effect of a dropped future | [`drop_after`] |

mod dropped;
mod fake_queue;
mod inline;

pub use dropped::drop_after;
pub use fake_queue::FakeQueue;
pub use inline::{Inline, run_inline};
