//! One connection, from a client to the server and back.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use super::loss::{Due, Part, Sent};
use super::{Shared, Traffic};

/// The most bytes that are passed on at a time.
const PIECE: usize = 64 << 10;

/// Carries bytes until both sides have ended, or the connection is lost, or cut.
pub(super) async fn serve(
    shared: Arc<Shared>,
    client: TcpStream,
    cut: watch::Receiver<u64>,
    half_closes: watch::Receiver<u64>,
) {
    let mut traffic = shared.traffic.subscribe();
    match unstalled(&mut traffic).await {
        Traffic::Refuse => {}
        // The system takes what the client sends.
        Traffic::Swallow => pending().await,
        Traffic::Pass | Traffic::Delay(_) | Traffic::Stall => {
            // A client of a server that is away finds its connection closed.
            let Ok(server) = TcpStream::connect(&shared.upstream[..]).await else { return };
            let _ = carry(&shared, client, server, &cut, half_closes).await;
        }
    }
}

async fn carry(
    shared: &Shared,
    client: TcpStream,
    server: TcpStream,
    cut: &watch::Receiver<u64>,
    half_closes: watch::Receiver<u64>,
) -> io::Result<()> {
    // Small pieces are answers that somebody waits for.
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
    reply_to_lose: &Mutex<Option<Due>>,
) -> io::Result<()> {
    let mut traffic = shared.traffic.subscribe();
    let mut sent = Sent::default();
    let mut piece = vec![0; PIECE];
    loop {
        let bytes = from.read(&mut piece).await?;
        pass(&mut traffic).await;
        is_whole(cut)?;
        if bytes == 0 {
            return to.shutdown().await;
        }
        sent.add(&piece[..bytes]);
        match shared.losses.meant_by(&sent) {
            Some(due) if due.part == Part::Request => return lose(due),
            Some(due) => *reply_to_lose.lock().unwrap_or_else(PoisonError::into_inner) = Some(due),
            None => {}
        }
        to.write_all(&piece[..bytes]).await?;
    }
}

async fn replies(
    shared: &Shared,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut half_closes: watch::Receiver<u64>,
    cut: &watch::Receiver<u64>,
    reply_to_lose: &Mutex<Option<Due>>,
) -> io::Result<()> {
    let mut traffic = shared.traffic.subscribe();
    let mut piece = vec![0; PIECE];
    loop {
        let bytes = tokio::select! {
            biased;
            _ = half_closes.changed() => None,
            bytes = from.read(&mut piece) => Some(bytes?),
        };
        let Some(bytes) = bytes.filter(|_| !is_told(&half_closes)) else {
            to.shutdown().await?;
            // The server is not held up by answers that nobody reads.
            return tokio::io::copy(&mut from, &mut tokio::io::sink()).await.map(drop);
        };
        pass(&mut traffic).await;
        is_whole(cut)?;
        if bytes == 0 {
            return to.shutdown().await;
        }
        let due = reply_to_lose.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(due) = due {
            return lose(due);
        }
        let sent = &piece[..bytes];
        match shared.holds.meant_by(sent) {
            Some((start, due)) => {
                to.write_all(&sent[..start]).await?;
                let _passing = due.hold().await;
                to.write_all(&sent[start..]).await?;
            }
            None => to.write_all(sent).await?,
        }
    }
}

/// Fails once the connection is cut. Whoever waits for that is not told before this task is polled again, and by then a
/// request and its reply may have come through.
fn is_whole(cut: &watch::Receiver<u64>) -> io::Result<()> {
    if is_told(cut) {
        return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut, as the test wants it"));
    }
    Ok(())
}

/// Whether there is something new.
fn is_told(receiver: &watch::Receiver<u64>) -> bool {
    // Cannot fail: the sender lives as long as a connection.
    receiver.has_changed().unwrap_or(true)
}

/// Ends the connection.
fn lose(due: Due) -> io::Result<()> {
    due.happens();
    Err(io::Error::new(io::ErrorKind::ConnectionAborted, "lost, as the test wants it"))
}

/// Returns when what has arrived may be passed on. If it is to be swallowed that is never: not even the end of the one
/// side is told the other.
async fn pass(traffic: &mut watch::Receiver<Traffic>) {
    match unstalled(traffic).await {
        Traffic::Delay(by) => sleep(by).await,
        Traffic::Swallow => pending().await,
        Traffic::Pass | Traffic::Stall | Traffic::Refuse => {}
    }
}

/// What is set, once that is something else than to stall.
async fn unstalled(traffic: &mut watch::Receiver<Traffic>) -> Traffic {
    // Cannot fail: the sender lives as long as a connection.
    traffic.wait_for(|traffic| *traffic != Traffic::Stall).await.map_or(Traffic::Refuse, |traffic| *traffic)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// Far more than anything here takes.
    const LONG: Duration = Duration::from_secs(20);

    /// One end, and the other.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (one, listener.accept().await.unwrap().0)
    }

    /// As a connection is whose task has its turn only when both sides have sent.
    #[tokio::test]
    async fn nothing_that_is_sent_after_a_cut_is_passed_on() {
        let shared = Shared::default();
        let cut = shared.cuts.subscribe();
        let ((mut client, at_client), (at_server, mut server)) = (pair().await, pair().await);
        shared.cuts.send_modify(|cuts| *cuts += 1);
        client.write_all(b"request").await.unwrap();
        server.write_all(b"reply").await.unwrap();
        let half_closes = shared.half_closes.subscribe();
        timeout(LONG, carry(&shared, at_client, at_server, &cut, half_closes)).await.unwrap().unwrap_err();
        assert!(!matches!(server.read(&mut [0; 10]).await, Ok(1..)));
        assert!(!matches!(client.read(&mut [0; 10]).await, Ok(1..)));
    }

    /// As a connection is that was just accepted.
    #[tokio::test]
    async fn no_reply_is_passed_on_after_a_half_close() {
        let shared = Shared::default();
        let (cut, half_closes) = (shared.cuts.subscribe(), shared.half_closes.subscribe());
        let ((mut client, at_client), (at_server, mut server)) = (pair().await, pair().await);
        shared.half_closes.send_modify(|closes| *closes += 1);
        server.write_all(b"reply").await.unwrap();
        drop(server);
        let carrying = carry(&shared, at_client, at_server, &cut, half_closes);
        let reading = async {
            assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
            client.shutdown().await.unwrap();
        };
        let (carried, ()) = timeout(LONG, async { tokio::join!(carrying, reading) }).await.unwrap();
        carried.unwrap();
    }
}
