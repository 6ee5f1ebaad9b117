//! The signal that ends a program.

use std::future::pending;
use std::io;
use std::sync::OnceLock;
use std::thread;

use queue_core::CancellationToken;

/// Ends when the program is asked to end: by SIGTERM, as service managers and containers send it,
/// or by Ctrl-C. Once that happened, each call ends at once.
///
/// The first poll takes both signals over for the rest of the process. A second Ctrl-C does not
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
pub async fn terminated() {
    static TERMINATED: OnceLock<io::Result<CancellationToken>> = OnceLock::new();
    match TERMINATED.get_or_init(watch) {
        Ok(terminated) => terminated.cancelled().await,
        Err(error) => {
            tracing::error!(%error, "cannot wait for SIGTERM or Ctrl-C: only a kill ends this program");
            pending::<()>().await;
        }
    }
}

/// Watches from a thread of its own. So a signal that arrives between two waits is not lost, and
/// the runtime of the first wait may end.
fn watch() -> io::Result<CancellationToken> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let terminated = CancellationToken::new();
    let signalled = {
        let _entered = runtime.enter();
        signals()?
    };
    let cancel = terminated.clone();
    let watching = move || {
        runtime.block_on(signalled);
        cancel.cancel();
    };
    thread::Builder::new().name("queue-signals".into()).spawn(watching)?;
    Ok(terminated)
}

#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(windows)]
fn signals() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::windows::{ctrl_c, ctrl_close, ctrl_shutdown};

    let (mut interrupt, mut close, mut shutdown) = (ctrl_c()?, ctrl_close()?, ctrl_shutdown()?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = close.recv() => {}
            _ = shutdown.recv() => {}
        }
    })
}

#[cfg(not(any(unix, windows)))]
fn signals() -> io::Result<impl Future<Output = ()> + Send> {
    Err::<std::future::Pending<()>, _>(io::ErrorKind::Unsupported.into())
}
