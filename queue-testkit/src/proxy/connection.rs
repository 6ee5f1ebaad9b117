//! One connection, from a client to the server and back.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use super::loss::{Part, PendingLoss, SentTail};
use super::{Shared, Traffic};

/// Maximum number of bytes that are forwarded at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Forwards bytes until both sides have ended, or the connection is lost or cut.
pub(super) async fn serve(
    shared: Arc<Shared>,
    client: TcpStream,
    cut: watch::Receiver<u64>,
    half_closes: watch::Receiver<u64>,
) {
    let mut traffic = shared.traffic.subscribe();
    match wait_while_stalled(&mut traffic).await {
        Traffic::Refuse => {}
        // The operating system still accepts the bytes of the client.
        Traffic::Swallow => pending().await,
        Traffic::Pass | Traffic::Delay(_) | Traffic::Stall => {
            // If the server is unreachable, the client's connection is closed.
            let Ok(server) = TcpStream::connect(&shared.upstream[..]).await else { return };
            let _ = forward(&shared, client, server, &cut, half_closes).await;
        }
    }
}

async fn forward(
    shared: &Shared,
    client: TcpStream,
    server: TcpStream,
    cut: &watch::Receiver<u64>,
    half_closes: watch::Receiver<u64>,
) -> io::Result<()> {
    // A small chunk is often a whole request or reply; delaying it would stall the client.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let reply_to_lose = Mutex::new(None);
    tokio::try_join!(
        requests(shared, from_client, to_server, cut, &reply_to_lose),
        replies(shared, from_server, to_client, half_closes, cut, &reply_to_lose),
    )?;
    Ok(())
}

async fn requests(
    shared: &Shared,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    cut: &watch::Receiver<u64>,
    reply_to_lose: &Mutex<Option<PendingLoss>>,
) -> io::Result<()> {
    let mut traffic = shared.traffic.subscribe();
    let mut sent = SentTail::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let bytes = from.read(&mut chunk).await?;
        wait_to_pass(&mut traffic).await;
        check_not_cut(cut)?;
        if bytes == 0 {
            return to.shutdown().await;
        }
        sent.add(&chunk[..bytes]);
        match shared.losses.take_match(&sent) {
            Some(due) if due.part == Part::Request => return lose(due),
            Some(due) => *reply_to_lose.lock().unwrap_or_else(PoisonError::into_inner) = Some(due),
            None => {}
        }
        to.write_all(&chunk[..bytes]).await?;
    }
}

async fn replies(
    shared: &Shared,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut half_closes: watch::Receiver<u64>,
    cut: &watch::Receiver<u64>,
    reply_to_lose: &Mutex<Option<PendingLoss>>,
) -> io::Result<()> {
    let mut traffic = shared.traffic.subscribe();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let bytes = tokio::select! {
            biased;
            _ = half_closes.changed() => None,
            bytes = from.read(&mut chunk) => Some(bytes?),
        };
        let Some(bytes) = bytes.filter(|_| !has_changed(&half_closes)) else {
            to.shutdown().await?;
            // Replies are read and discarded, otherwise the server would block on a full buffer.
            return tokio::io::copy(&mut from, &mut tokio::io::sink()).await.map(drop);
        };
        wait_to_pass(&mut traffic).await;
        check_not_cut(cut)?;
        if bytes == 0 {
            return to.shutdown().await;
        }
        let due = reply_to_lose.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(due) = due {
            return lose(due);
        }
        let sent = &chunk[..bytes];
        match shared.holds.take_match(sent) {
            Some((start, due)) => {
                to.write_all(&sent[..start]).await?;
                let _passing = due.hold().await;
                to.write_all(&sent[start..]).await?;
            }
            None => to.write_all(sent).await?,
        }
    }
}

/// Fails if the connection is cut. The `select!` around this task notices a cut only at its next
/// poll. Without this check, a request and its reply could still be forwarded in the current poll.
fn check_not_cut(cut: &watch::Receiver<u64>) -> io::Result<()> {
    if has_changed(cut) {
        return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the test cut the connection"));
    }
    Ok(())
}

/// Whether the sender has sent a value since the subscription.
fn has_changed(receiver: &watch::Receiver<u64>) -> bool {
    // Cannot fail, because the sender outlives the connection.
    receiver.has_changed().unwrap_or(true)
}

/// Notifies the test and fails, which closes the connection.
fn lose(due: PendingLoss) -> io::Result<()> {
    due.notify();
    Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the test lost the request or its reply"))
}

/// Waits until the bytes that arrived may be forwarded. Never returns under `Traffic::Swallow`, so
/// that not even the end of a stream is forwarded.
async fn wait_to_pass(traffic: &mut watch::Receiver<Traffic>) {
    match wait_while_stalled(traffic).await {
        Traffic::Delay(by) => sleep(by).await,
        Traffic::Swallow => pending().await,
        Traffic::Pass | Traffic::Stall | Traffic::Refuse => {}
    }
}

/// Waits until the setting is not `Traffic::Stall`, and returns it.
async fn wait_while_stalled(traffic: &mut watch::Receiver<Traffic>) -> Traffic {
    // Cannot fail, because the sender outlives the connection.
    traffic.wait_for(|traffic| *traffic != Traffic::Stall).await.map_or(Traffic::Refuse, |traffic| *traffic)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// Maximum wait of a test that fails.
    const LONG: Duration = Duration::from_secs(20);

    /// Connects two streams to each other.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    /// The state of a connection whose task is first polled after both sides have sent.
    #[tokio::test]
    async fn bytes_sent_after_a_cut_are_not_forwarded() {
        let shared = Shared::default();
        let cut = shared.cuts.subscribe();
        let ((mut client, at_client), (at_server, mut server)) = (pair().await, pair().await);
        shared.cuts.send_modify(|cuts| *cuts += 1);
        client.write_all(b"request").await.unwrap();
        server.write_all(b"reply").await.unwrap();
        let half_closes = shared.half_closes.subscribe();
        timeout(LONG, forward(&shared, at_client, at_server, &cut, half_closes)).await.unwrap().unwrap_err();
        assert!(!matches!(server.read(&mut [0; 10]).await, Ok(1..)));
        assert!(!matches!(client.read(&mut [0; 10]).await, Ok(1..)));
    }

    /// The state of a connection that was just accepted.
    #[tokio::test]
    async fn reply_after_a_half_close_is_not_forwarded() {
        let shared = Shared::default();
        let (cut, half_closes) = (shared.cuts.subscribe(), shared.half_closes.subscribe());
        let ((mut client, at_client), (at_server, mut server)) = (pair().await, pair().await);
        shared.half_closes.send_modify(|closes| *closes += 1);
        server.write_all(b"reply").await.unwrap();
        drop(server);
        let forwarding = forward(&shared, at_client, at_server, &cut, half_closes);
        let reading = async {
            assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
            client.shutdown().await.unwrap();
        };
        let (forwarded, ()) = timeout(LONG, async { tokio::join!(forwarding, reading) }).await.unwrap();
        forwarded.unwrap();
    }
}
