//! The proxy in front of a server that echoes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dropped;

use std::io;
use std::time::{Duration, Instant};

use queue_testkit::proxy::{Proxy, Traffic};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// Much longer than any step of these tests.
const LONG: Duration = Duration::from_secs(20);

/// Long enough for bytes to arrive that the proxy does not hold.
const SHORT: Duration = Duration::from_millis(50);

/// An echo server, a proxy in front of it, and the bytes that the server received.
struct Setup {
    proxy: Proxy,
    seen: UnboundedReceiver<Vec<u8>>,
}

impl Setup {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap();
        let (sent, seen) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let sent = sent.clone();
                tokio::spawn(async move {
                    let mut piece = vec![0; 1000];
                    while let Ok(bytes @ 1..) = client.read(&mut piece).await {
                        sent.send(piece[..bytes].to_vec()).ok();
                        client.write_all(&piece[..bytes]).await.ok();
                    }
                });
            }
        });
        Self { proxy: Proxy::start(upstream).await.unwrap(), seen }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy.address()).await.unwrap()
    }

    async fn seen(&mut self) -> String {
        String::from_utf8(timeout(LONG, self.seen.recv()).await.unwrap().unwrap()).unwrap()
    }
}

/// Sends the text, and reads as many bytes as were sent.
async fn echo(client: &mut TcpStream, text: &str) -> io::Result<String> {
    client.write_all(text.as_bytes()).await?;
    answer(client, text.len()).await
}

async fn answer(client: &mut TcpStream, bytes: usize) -> io::Result<String> {
    let mut answer = vec![0; bytes];
    timeout(LONG, client.read_exact(&mut answer)).await.unwrap()?;
    Ok(String::from_utf8(answer).unwrap())
}

/// Whether no byte arrives and the connection stays open.
async fn is_silent(client: &mut TcpStream) -> bool {
    timeout(SHORT, client.read(&mut [0; 1])).await.is_err()
}

async fn is_closed(client: &mut TcpStream) -> bool {
    !matches!(timeout(LONG, client.read(&mut [0; 1])).await.unwrap(), Ok(1..))
}

#[tokio::test]
async fn bytes_pass_in_both_directions_and_so_does_the_end() {
    let setup = Setup::new().await;
    let mut client = setup.connect().await;
    assert_eq!(echo(&mut client, "one").await.unwrap(), "one");
    let long = "x".repeat(1_000_000);
    let (mut read, mut write) = client.split();
    let mut all = String::new();
    let send = async {
        write.write_all(long.as_bytes()).await?;
        write.shutdown().await
    };
    timeout(LONG, async { tokio::try_join!(send, read.read_to_string(&mut all)) }).await.unwrap().unwrap();
    assert_eq!(all, long);
    assert_eq!(setup.proxy.accepted(), 1);
}

#[tokio::test]
async fn stalled_bytes_arrive_later_on_connections_old_and_new() {
    let mut setup = Setup::new().await;
    let mut old = setup.connect().await;
    echo(&mut old, "up").await.unwrap();
    assert_eq!(setup.seen().await, "up");
    setup.proxy.set(Traffic::Stall);
    let mut new = setup.connect().await;
    old.write_all(b"old").await.unwrap();
    new.write_all(b"new").await.unwrap();
    assert!(is_silent(&mut old).await && is_silent(&mut new).await);
    assert!(setup.seen.try_recv().is_err());
    setup.proxy.set(Traffic::Pass);
    assert_eq!(answer(&mut old, 3).await.unwrap(), "old");
    assert_eq!(answer(&mut new, 3).await.unwrap(), "new");
}

#[tokio::test]
async fn swallowed_bytes_never_arrive_and_their_connection_stays_dead() {
    let mut setup = Setup::new().await;
    let mut old = setup.connect().await;
    echo(&mut old, "up").await.unwrap();
    assert_eq!(setup.seen().await, "up");
    setup.proxy.set(Traffic::Swallow);
    let mut new = setup.connect().await;
    old.write_all(b"old").await.unwrap();
    new.write_all(b"new").await.unwrap();
    assert!(is_silent(&mut old).await && is_silent(&mut new).await);
    setup.proxy.set(Traffic::Pass);
    assert_eq!(echo(&mut setup.connect().await, "next").await.unwrap(), "next");
    assert_eq!(setup.seen().await, "next");
    assert!(is_silent(&mut old).await && is_silent(&mut new).await);
    setup.proxy.cut();
    assert!(is_closed(&mut old).await && is_closed(&mut new).await);
}

#[tokio::test]
async fn a_cut_closes_what_is_open_and_lets_clients_back_in() {
    let setup = Setup::new().await;
    let mut clients = [setup.connect().await, setup.connect().await];
    for client in &mut clients {
        echo(client, "up").await.unwrap();
    }
    setup.proxy.cut();
    for client in &mut clients {
        assert!(is_closed(client).await);
    }
    assert_eq!(echo(&mut setup.connect().await, "back").await.unwrap(), "back");
    assert_eq!(setup.proxy.accepted(), 3);
}

#[tokio::test]
async fn a_cut_also_ends_what_is_stalled() {
    let setup = Setup::new().await;
    setup.proxy.set(Traffic::Stall);
    let mut client = setup.connect().await;
    client.write_all(b"held").await.unwrap();
    assert!(is_silent(&mut client).await);
    setup.proxy.cut();
    assert!(is_closed(&mut client).await);
}

#[tokio::test]
async fn refused_are_only_new_connections() {
    let setup = Setup::new().await;
    let mut old = setup.connect().await;
    echo(&mut old, "up").await.unwrap();
    setup.proxy.set(Traffic::Refuse);
    assert!(is_closed(&mut setup.connect().await).await);
    assert_eq!(echo(&mut old, "on").await.unwrap(), "on");
}

#[tokio::test]
async fn an_answer_is_late_by_both_ways() {
    let setup = Setup::new().await;
    let mut client = setup.connect().await;
    setup.proxy.set(Traffic::Delay(SHORT));
    let start = Instant::now();
    assert_eq!(echo(&mut client, "late").await.unwrap(), "late");
    assert!(start.elapsed() >= 2 * SHORT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_lost_reply_is_that_to_the_request_that_was_named() {
    let mut setup = Setup::new().await;
    let (mut one, mut two) = (setup.connect().await, setup.connect().await);
    let lost = setup.proxy.lose_reply("commit");
    assert_eq!(echo(&mut one, "begin").await.unwrap(), "begin");
    assert_eq!(echo(&mut two, "begin").await.unwrap(), "begin");
    one.write_all(b"and commit now").await.unwrap();
    lost.happened(LONG).await.unwrap();
    assert!(is_closed(&mut one).await);
    for seen in ["begin", "begin", "and commit now"] {
        assert_eq!(setup.seen().await, seen);
    }
    assert_eq!(echo(&mut two, "commit").await.unwrap(), "commit", "only one reply may be lost");
}

#[tokio::test]
async fn a_lost_request_is_not_seen_by_the_server() {
    let mut setup = Setup::new().await;
    let mut client = setup.connect().await;
    echo(&mut client, "up").await.unwrap();
    assert_eq!(setup.seen().await, "up");
    let lost = setup.proxy.lose_request("");
    client.write_all(b"gone").await.unwrap();
    lost.happened(LONG).await.unwrap();
    assert!(is_closed(&mut client).await);
    assert_eq!(echo(&mut setup.connect().await, "next").await.unwrap(), "next");
    assert_eq!(setup.seen().await, "next");
}

#[tokio::test]
async fn a_loss_that_does_not_happen_is_an_error() {
    let setup = Setup::new().await;
    let lost = setup.proxy.lose_reply("commit");
    echo(&mut setup.connect().await, "rollback").await.unwrap();
    let error = lost.happened(SHORT).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(error.to_string().contains("no request or reply was lost within"), "{error}");
}

#[tokio::test]
async fn a_loss_that_is_given_up_does_not_happen() {
    let setup = Setup::new().await;
    drop(setup.proxy.lose_reply("commit"));
    drop(setup.proxy.lose_request("commit"));
    assert_eq!(echo(&mut setup.connect().await, "commit").await.unwrap(), "commit");
}

#[tokio::test]
async fn a_reply_is_held_from_its_mark_on_until_it_is_let_go() {
    let setup = Setup::new().await;
    let (mut one, mut two) = (setup.connect().await, setup.connect().await);
    let hold = setup.proxy.hold_reply("end");
    assert_eq!(echo(&mut one, "start").await.unwrap(), "start");
    one.write_all(b"rows, end").await.unwrap();
    let held = hold.began(LONG).await.unwrap();
    assert_eq!(answer(&mut one, 6).await.unwrap(), "rows, ");
    assert!(is_silent(&mut one).await);
    assert_eq!(echo(&mut two, "end").await.unwrap(), "end", "only one reply may be held");
    timeout(LONG, held.let_go()).await.unwrap();
    assert_eq!(answer(&mut one, 3).await.unwrap(), "end");
}

#[tokio::test]
async fn a_hold_ends_with_its_connection() {
    let setup = Setup::new().await;
    let mut client = setup.connect().await;
    let hold = setup.proxy.hold_reply("");
    client.write_all(b"held").await.unwrap();
    let held = hold.began(LONG).await.unwrap();
    setup.proxy.cut();
    assert!(is_closed(&mut client).await);
    timeout(LONG, held.let_go()).await.unwrap();
}

#[tokio::test]
async fn a_hold_that_does_not_begin_is_an_error() {
    let setup = Setup::new().await;
    let hold = setup.proxy.hold_reply("end");
    echo(&mut setup.connect().await, "start").await.unwrap();
    let error = hold.began(SHORT).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(error.to_string().contains("no request or reply was held within"), "{error}");
}

#[tokio::test]
async fn a_connection_that_is_half_closed_carries_requests_only() {
    let mut setup = Setup::new().await;
    let mut client = setup.connect().await;
    echo(&mut client, "up").await.unwrap();
    assert_eq!(setup.seen().await, "up");
    setup.proxy.half_close();
    assert!(is_closed(&mut client).await);
    client.write_all(b"on").await.unwrap();
    assert_eq!(setup.seen().await, "on");
    assert_eq!(echo(&mut setup.connect().await, "new").await.unwrap(), "new");
}

#[tokio::test]
async fn a_server_that_is_away_is_a_closed_connection() {
    // The port is bound, so that no other program gets it, but nothing listens on it.
    let away = TcpSocket::new_v4().unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let proxy = Proxy::start(away.local_addr().unwrap().to_string()).await.unwrap();
    assert!(is_closed(&mut TcpStream::connect(proxy.address()).await.unwrap()).await);
}

#[tokio::test]
async fn dropped_it_closes_everything() {
    let setup = Setup::new().await;
    let mut client = setup.connect().await;
    echo(&mut client, "up").await.unwrap();
    let address = setup.proxy.address();
    drop(setup);
    assert!(is_closed(&mut client).await);
    assert!(TcpStream::connect(address).await.is_err());
}
