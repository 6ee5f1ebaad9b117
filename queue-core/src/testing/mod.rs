//! Helpers for tests of programs that use the queue.
//!
//! | to test | use |
//! |---|---|
//! | what a program enqueues | [`TestQueue`], [`assert_enqueued!`](crate::assert_enqueued) |
//! | jobs, retries and schedules as a worker runs them | [`TestWorker`] |
//! | modules that register or enqueue kinds that are texts | [`FakeQueue`] |
//! | one attempt of a handler | [`run_inline`] |
//! | the effect of a dropped future | [`drop_after`] |

mod dropped;
mod fake_queue;
mod inline;
mod test_queue;
#[cfg(feature = "runtime")]
mod test_worker;

#[cfg(feature = "runtime")]
pub use crate::runtime::{Run, Runs};
pub use dropped::drop_after;
pub use fake_queue::FakeQueue;
pub use inline::{Inline, run_inline};
pub use test_queue::{Found, TestQueue, find_enqueued, is_same};
#[cfg(feature = "runtime")]
pub use test_worker::TestWorker;
