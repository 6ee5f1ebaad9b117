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

/// Carries bytes until both sides have ended, or the connection is lost.
pub(super) async fn serve(shared: Arc<Shared>, client: TcpStream) {
    let mut traffic = shared.traffic.subscribe();
    match unstalled(&mut traffic).await {
        Traffic::Refuse => {}
        // The system takes what the client sends.
        Traffic::Swallow => pending().await,
        Traffic::Pass | Traffic::Delay(_) | Traffic::Stall => {
            // A client of a server that is away finds its connection closed.
            let Ok(server) = TcpStream::connect(&shared.upstream[..]).await else { return };
            let _ = carry(&shared, client, server).await;
        }
    }
}

async fn carry(shared: &Shared, client: TcpStream, server: TcpStream) -> io::Result<()> {
    // Small pieces are answers that somebody waits for.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let reply_to_lose = Mutex::new(None);
    tokio::try_join!(
        requests(shared, from_client, to_server, &reply_to_lose),
        replies(shared, from_server, to_client, &reply_to_lose),
    )?;
    Ok(())
}

async fn requests(
    shared: &Shared,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    reply_to_lose: &Mutex<Option<Due>>,
) -> io::Result<()> {
    let mut traffic = shared.traffic.subscribe();
    let mut sent = Sent::default();
    let mut piece = vec![0; PIECE];
    loop {
        let bytes = from.read(&mut piece).await?;
        pass(&mut traffic).await;
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
    reply_to_lose: &Mutex<Option<Due>>,
) -> io::Result<()> {
    let (mut traffic, mut half_closes) = (shared.traffic.subscribe(), shared.half_closes.subscribe());
    let mut piece = vec![0; PIECE];
    loop {
        let bytes = tokio::select! {
            bytes = from.read(&mut piece) => bytes?,
            _ = half_closes.changed() => {
                to.shutdown().await?;
                // The server is not held up by answers that nobody reads.
                return tokio::io::copy(&mut from, &mut tokio::io::sink()).await.map(drop);
            }
        };
        pass(&mut traffic).await;
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
