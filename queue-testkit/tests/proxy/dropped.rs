//! The futures of the proxy are dropped at each poll.

use std::time::Duration;

use queue_core::testing::drop_after;
use queue_testkit::proxy::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn a_dropped_start_of_a_proxy_is_none() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = server.local_addr().unwrap().to_string();
    let mut polls = 0;
    let proxy = loop {
        match drop_after(polls, Proxy::start(upstream.as_str())).await {
            Some(proxy) => break proxy.unwrap(),
            None => polls += 1,
        }
    };
    let _client = TcpStream::connect(proxy.address()).await.unwrap();
    server.accept().await.unwrap();
    assert_eq!(proxy.accepted(), 1, "there is one proxy, which has one client");
}

#[tokio::test]
async fn a_loss_that_nobody_waits_for_is_given_up() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(server.local_addr().unwrap()).await.unwrap();
    // The first future is dropped before its first poll, the second after it.
    for polls in 0..2 {
        let happened = proxy.lose_request("kept").happened(Duration::from_secs(60));
        assert!(drop_after(polls, happened).await.is_none());
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_all(b"kept").await.unwrap();
        let (mut passed, _) = server.accept().await.unwrap();
        let mut received = [0; 4];
        passed.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"kept");
    }
}

#[tokio::test]
async fn a_reply_that_nobody_holds_any_more_is_passed_on() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(server.local_addr().unwrap()).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut passed, _) = server.accept().await.unwrap();
    let mut received = [0; 4];
    // The first future is dropped before its first poll, the second after it.
    for polls in 0..2 {
        let began = proxy.hold_reply("kept").began(Duration::from_secs(60));
        assert!(drop_after(polls, began).await.is_none());
        passed.write_all(b"kept").await.unwrap();
        client.read_exact(&mut received).await.unwrap();

        let hold = proxy.hold_reply("held");
        passed.write_all(b"held").await.unwrap();
        let held = hold.began(Duration::from_secs(60)).await.unwrap();
        drop_after(polls, held.let_go()).await;
        client.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"held");
    }
}
