//! Tests a PgBouncer between a client and a server.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use queue_testserver::{Options, PgBouncer, Server};

/// The first packet of a client that requests TLS. The reply is one byte.
const IS_THERE_TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

#[test]
fn statements_reach_the_server_through_pgbouncer() {
    let server = Server::start(&Options::throwaway()).unwrap();
    let pooled = PgBouncer::start(&server.url()).unwrap();
    let query = |url: &str, statement: &str| crate::query(server.programs(), url, statement);

    query(pooled.url(), "create table kept (n int); insert into kept values (1)");
    assert_eq!(query(&server.url(), "select n from kept"), "1");
    // The console of PgBouncer shows the pool mode; the replies of the server do not.
    let console = pooled.url().replace("/postgres", "/pgbouncer");
    let settings = query(&console, "show config");
    assert!(settings.lines().any(|line| line.starts_with("pool_mode|transaction|")), "{settings}");
    // Each transaction reuses the connection of the transaction before.
    let backend = || query(pooled.url(), "select pg_backend_pid()");
    assert_eq!(backend(), backend());
}

#[test]
fn dropped_pgbouncer_ends() {
    let pooled = PgBouncer::start(&queue_testserver::url().unwrap()).unwrap();
    let port: u16 = pooled.url().rsplit([':', '/']).nth(1).unwrap().parse().unwrap();
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    connection.write_all(&IS_THERE_TLS).unwrap();
    connection.read_exact(&mut [0]).unwrap();
    drop(pooled);
    // A running PgBouncer would wait for the next packet. A refused connection would prove less,
    // because another process may use the port.
    assert!(!matches!(connection.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock));
}

#[test]
fn invalid_url_is_refused() {
    let error = PgBouncer::start("sqlite:jobs.db").unwrap_err().to_string();
    assert!(error.starts_with("failed to read the URL of a server"), "{error}");
}
