//! Waits with a bound. Each says what it waited for, and what it saw instead.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{Instant, sleep, timeout};

use super::settings;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// Of this process, if a [`Suite`](super::Suite) has set it.
static BOUND: RwLock<Option<Duration>> = RwLock::new(None);

/// How long a case waits for one thing. Only a failing case waits for all of it.
pub(crate) fn bound() -> Duration {
    BOUND.read().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(settings::wait)
}

/// Sets it for all cases of this process.
pub(crate) fn set_bound(bound: Duration) {
    *BOUND.write().unwrap_or_else(PoisonError::into_inner) = Some(bound);
}

/// Waits for a future.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
    let bound = bound();
    timeout(bound, future).await.with_context(|| format!("waited {bound:?} for {what}"))
}

/// Looks again and again until nothing is left. `look` returns what is left, which the failure
/// shows. As long as that changes, the wait goes on.
pub(crate) async fn until_none_is_left<F>(what: &str, mut look: impl FnMut() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Option<String>>>,
{
    let (mut last, mut changed) = (String::new(), Instant::now());
    while let Some(left) = in_time(what, look()).await?? {
        if left != last {
            (last, changed) = (left, Instant::now());
        }
        if changed.elapsed() >= bound() {
            bail!("waited {:?} for {what}, without any change: {last}", bound());
        }
        sleep(LOOK).await;
    }
    Ok(())
}
