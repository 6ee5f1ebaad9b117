//! The signal that ends a program.

use std::future::pending;
use std::io;

/// Ends when the program is asked to end: by SIGTERM, as service managers and containers send it,
/// or by Ctrl-C.
///
/// The first call takes both signals over for the rest of the process. A second Ctrl-C does not
/// kill it, so bound what comes after it, as [`Worker::run_until`](crate::Worker::run_until) does
/// by its grace. On Windows it is Ctrl-C, the closing of the console, or a shutdown. If the signals
/// cannot be taken over, the future logs an error and never ends.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn run(worker: queue::Worker) -> queue::Result<()> {
/// worker.run_until(queue::terminated(), Duration::from_secs(30)).await?;
/// # Ok(()) }
/// ```
///
/// # Panics
/// Outside of a tokio runtime whose I/O is enabled.
pub async fn terminated() {
    if let Err(error) = signalled().await {
        tracing::error!(%error, "cannot wait for SIGTERM or Ctrl-C: only a kill ends this program");
        pending::<()>().await;
    }
}

#[cfg(unix)]
async fn signalled() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(windows)]
async fn signalled() -> io::Result<()> {
    use tokio::signal::windows::{ctrl_c, ctrl_close, ctrl_shutdown};

    let (mut interrupt, mut close, mut shutdown) = (ctrl_c()?, ctrl_close()?, ctrl_shutdown()?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = close.recv() => {}
        _ = shutdown.recv() => {}
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
async fn signalled() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
