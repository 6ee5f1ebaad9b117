//! The thread that makes the driver ask again. It is a thread and no timer of the caller's
//! executor, because that may have none.

use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use super::{OPERATION, Shared};
use crate::poison::ignore_poison;
use crate::{Error, ErrorKind, Result};

/// The shortest interval between two ticks.
pub(super) const LEAST_INTERVAL: Duration = Duration::from_millis(1);

/// The time after which the thread ends if no caller waits. It does not end with the last caller,
/// because a program that awaits one job after the other would start a thread for each.
const LINGER: Duration = Duration::from_secs(1);

/// Starts the thread unless it runs.
pub(super) fn start(shared: &Arc<Shared>) -> Result<()> {
    let mut list = shared.list();
    if list.is_ticking {
        return Ok(());
    }
    let ticking = Arc::clone(shared);
    let started = thread::Builder::new().name("queue-results".into()).spawn(move || run(&ticking));
    started.map_err(|error| {
        Error::new(ErrorKind::Unavailable, OPERATION, "no thread can be started").with_source(error)
    })?;
    list.is_ticking = true;
    Ok(())
}

fn run(shared: &Shared) {
    let mut last = Instant::now();
    loop {
        let due = shared.poll_interval.saturating_sub(last.elapsed());
        thread::sleep(due.min(LINGER));
        let mut driver = ignore_poison(shared.driver.lock());
        let mut list = shared.list();
        if list.is_empty() {
            list.is_ticking = false;
            // Unsubscribes, so that the backend need not look for announcements.
            let removed = driver.take();
            drop((list, driver));
            drop(removed);
            return;
        }
        if last.elapsed() >= shared.poll_interval {
            last = Instant::now();
            list.tick();
            // All of them, because the one that was polled last may be kept without being polled.
            let callers = list.callers();
            drop((list, driver));
            shared.changed.notify_one();
            callers.into_iter().for_each(Waker::wake);
        }
    }
}
