//! A proxy between a client and its server that loses, holds or cuts traffic when a test requests
//! it.
//!
//! A client that speaks TCP connects to [`Proxy::address`] instead of the address of its server:
//!
//! ```
//! use std::time::Duration;
//! use queue_testkit::proxy::{Proxy, Traffic};
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! # use tokio::net::{TcpListener, TcpStream};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let server = TcpListener::bind("127.0.0.1:0").await?;
//! # let upstream = server.local_addr()?;
//! # tokio::spawn(async move {
//! #     while let Ok((mut client, _)) = server.accept().await {
//! #         let (mut read, mut write) = client.split();
//! #         let _ = tokio::io::copy(&mut read, &mut write).await;
//! #     }
//! # });
//! let proxy = Proxy::start(upstream).await?; // or "db.example:5432"
//! let lost = proxy.lose_reply("commit");
//!
//! let mut client = TcpStream::connect(proxy.address()).await?;
//! client.write_all(b"commit").await?;
//!
//! // The server has executed the request; its client never reads the reply.
//! lost.happened(Duration::from_secs(10)).await?;
//! assert_eq!(client.read(&mut [0; 10]).await?, 0);
//!
//! proxy.set(Traffic::Refuse);
//! proxy.cut(); // from now on the server cannot be reached
//! # std::io::Result::Ok(()) }).unwrap();
//! ```

mod connection;
mod hold;
mod loss;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, ToSocketAddrs, lookup_host};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use connection::serve;
use hold::Holds;
pub use hold::{Held, Hold};
pub use loss::Loss;
use loss::{Losses, Part};

/// How the proxy treats bytes that arrive, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Traffic {
    /// Bytes are forwarded.
    #[default]
    Pass,
    /// Bytes are forwarded after this delay. A reply is late by twice the delay.
    Delay(Duration),
    /// Bytes are held until another setting is made, then forwarded. Connections stay open.
    Stall,
    /// Bytes are discarded, so that no reply ever arrives. Connections stay open and new ones are
    /// accepted. A connection that lost bytes never recovers, even after another setting.
    Swallow,
    /// Bytes are forwarded on open connections. New connections are closed at once.
    Refuse,
}

/// Listens on a free port of 127.0.0.1 and forwards all bytes to a server, unless a test requests
/// otherwise.
///
/// The proxy runs on the tokio runtime of its caller. Dropping it closes all connections.
#[derive(Debug)]
#[must_use = "a proxy that is dropped closes its connections"]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    upstream: Vec<SocketAddr>,
    traffic: watch::Sender<Traffic>,
    /// Number of calls of `cut`.
    cuts: watch::Sender<u64>,
    /// Number of calls of `half_close`.
    half_closes: watch::Sender<u64>,
    losses: Losses,
    holds: Holds,
    accepted: AtomicU64,
}

impl Proxy {
    /// Starts a proxy in front of a server. The name of the server is looked up once; the server
    /// need not run yet.
    ///
    /// # Errors
    /// If the name cannot be looked up or no port is free.
    pub async fn start(upstream: impl ToSocketAddrs) -> io::Result<Self> {
        let upstream: Vec<SocketAddr> = lookup_host(upstream).await?.collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { upstream, ..Shared::default() });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, listening })
    }

    /// Returns the address that clients must connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets how bytes are treated from now on, on open and new connections.
    pub fn set(&self, traffic: Traffic) {
        self.shared.traffic.send_replace(traffic);
    }

    /// Closes both sides of all open connections. Bytes that are sent afterwards are never
    /// forwarded. New connections follow the [`Traffic`] setting.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Ends all open connections in the direction to the client. Clients read the end of the
    /// stream. Bytes from clients still reach the server.
    pub fn half_close(&self) {
        self.shared.half_closes.send_modify(|closes| *closes += 1);
    }

    /// Loses the reply to the next bytes of a client that contain `request` (if empty: any bytes).
    /// The bytes are forwarded. When the server replies on that connection, the proxy closes it
    /// without forwarding any of the reply.
    pub fn lose_reply(&self, request: impl Into<Vec<u8>>) -> Loss {
        self.shared.losses.add(Part::Reply, request.into())
    }

    /// Loses the next bytes of a client that contain `request` (if empty: any bytes), and closes
    /// the connection. The server never reads these bytes.
    pub fn lose_request(&self, request: impl Into<Vec<u8>>) -> Loss {
        self.shared.losses.add(Part::Request, request.into())
    }

    /// Holds the next bytes of the server from `mark` on (if empty: from the first byte). The bytes
    /// before the mark are forwarded at once, the rest when the test lets go. A mark that arrives
    /// in pieces is missed.
    pub fn hold_reply(&self, mark: impl Into<Vec<u8>>) -> Hold {
        self.shared.holds.add(mark.into())
    }

    /// Returns the number of accepted connections, which shows that clients have reconnected after
    /// a cut.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    // Dropping the set with this task ends the tasks of all connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                // Subscribed before the task starts, otherwise it could miss a cut.
                let (mut cut, half_closes) = (shared.cuts.subscribe(), shared.half_closes.subscribe());
                let serving = serve(Arc::clone(&shared), client, cut.clone(), half_closes);
                connections.spawn(async move {
                    tokio::select! {
                        biased;
                        _ = cut.changed() => {}
                        () = serving => {}
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Waits until a connection has lost or held bytes. `done` names that in the error, for example
/// "lost".
async fn wait_for<T>(receiver: oneshot::Receiver<T>, within: Duration, done: &str) -> io::Result<T> {
    let why = match timeout(within, receiver).await {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(_)) => format!("the connection ended before a request or reply was {done}"),
        Err(_) => format!("no request or reply was {done} within {within:?}"),
    };
    Err(io::Error::new(io::ErrorKind::TimedOut, why))
}
