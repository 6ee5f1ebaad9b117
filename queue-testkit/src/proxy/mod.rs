//! A proxy between a client and its server. When a test says so, it loses, holds and cuts traffic.
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
//! // The server did what it was asked to; its client never learns of it.
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

/// What becomes of bytes that arrive, in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Traffic {
    /// They are passed on.
    #[default]
    Pass,
    /// They are passed on this much later: an answer takes twice as long.
    Delay(Duration),
    /// They are held, and passed on once something else is set. Nobody is told: connections stay open.
    Stall,
    /// They are gone, while connections stay open and new ones come up: nobody ever answers. A connection on
    /// which something was swallowed stays like that, whatever is set later.
    Swallow,
    /// They are passed on, but new connections are closed at once.
    Refuse,
}

/// Listens on a free port of 127.0.0.1 and passes everything on to a server, unless a test says otherwise.
///
/// It runs on the tokio runtime of whoever starts it. Dropped, it closes all connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    upstream: Vec<SocketAddr>,
    traffic: watch::Sender<Traffic>,
    /// How often everything was cut.
    cuts: watch::Sender<u64>,
    /// How often everything was half closed.
    half_closes: watch::Sender<u64>,
    losses: Losses,
    holds: Holds,
    accepted: AtomicU64,
}

impl Proxy {
    /// Starts in front of a server, whose name is looked up once; it need not run yet.
    ///
    /// # Errors
    /// If the name cannot be looked up, or no port is free.
    pub async fn start(upstream: impl ToSocketAddrs) -> io::Result<Self> {
        let upstream: Vec<SocketAddr> = lookup_host(upstream).await?.collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { upstream, ..Shared::default() });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, listening })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says what becomes of bytes from now on, on open connections and on new ones.
    pub fn set(&self, traffic: Traffic) {
        self.shared.traffic.send_replace(traffic);
    }

    /// Closes all open connections, on both sides: nothing that is sent afterwards is passed on. New ones are as the [`Traffic`]
    /// says.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Ends all open connections in one direction: clients read the end of what the server sends, and nothing that it sends
    /// afterwards; it goes on to get what they send.
    pub fn half_close(&self) {
        self.shared.half_closes.send_modify(|closes| *closes += 1);
    }

    /// Loses the reply to the next bytes of a client in which `request` stands, any bytes if it is empty: they are
    /// passed on, and as soon as the server answers on that connection, it is closed without a word of the answer.
    pub fn lose_reply(&self, request: impl Into<Vec<u8>>) -> Loss {
        self.shared.losses.add(Part::Reply, request.into())
    }

    /// Loses the next bytes of a client in which `request` stands, any bytes if it is empty, and closes the
    /// connection: the server never sees them.
    pub fn lose_request(&self, request: impl Into<Vec<u8>>) -> Loss {
        self.shared.losses.add(Part::Request, request.into())
    }

    /// Holds the next bytes of the server from `mark` on, from the first if it is empty: what stands before it is passed
    /// on, and so is the rest, once the test lets go. A mark that arrives in pieces is missed.
    pub fn hold_reply(&self, mark: impl Into<Vec<u8>>) -> Hold {
        self.shared.holds.add(mark.into())
    }

    /// How many connections were accepted so far: after a cut it shows that clients came back.
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
    // Dropped with this task, it ends those of the connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                // Here, so that none is missed.
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

/// What a connection tells a test that waits for something to be `done`, such as "lost".
async fn told<T>(receiver: oneshot::Receiver<T>, within: Duration, done: &str) -> io::Result<T> {
    let why = match timeout(within, receiver).await {
        Ok(Ok(told)) => return Ok(told),
        Ok(Err(_)) => format!("the connection ended before anything was {done}"),
        Err(_) => format!("nothing was {done} within {within:?}"),
    };
    Err(io::Error::new(io::ErrorKind::TimedOut, why))
}
