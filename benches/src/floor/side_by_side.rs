//! Runs several connections to one store at once.

use std::thread;

use anyhow::{Result, anyhow};

/// Runs the function on each connection, each on its own thread, and waits for all.
pub(super) fn side_by_side<S: Send, T: Send>(
    stores: &mut [S],
    work: impl Fn(usize, &mut S) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    // A single connection stays on this thread, where no other thread competes with it.
    if let [store] = stores {
        return Ok(vec![work(0, store)?]);
    }
    thread::scope(|scope| {
        let work = &work;
        let start = |(number, store)| scope.spawn(move || work(number, store));
        let threads: Vec<_> = stores.iter_mut().enumerate().map(start).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<T>>| {
            thread.join().map_err(|_| anyhow!("a thread of the floor panicked"))?
        };
        threads.into_iter().map(join).collect()
    })
}
