//! A PgBouncer between a client and a server.

use std::net::TcpStream;

use queue_testserver::{Options, PgBouncer, Server};

#[test]
fn statements_reach_the_server_through_it() {
    let server = Server::start(&Options::throwaway()).unwrap();
    let pooled = PgBouncer::start(&server.url()).unwrap();
    let query = |url: &str, statement: &str| crate::query(server.programs(), url, statement);

    query(pooled.url(), "create table kept (n int); insert into kept values (1)");
    assert_eq!(query(&server.url(), "select n from kept"), "1");
    // Its own console says how it pools; nothing of the kind is in the answers of the server.
    let console = pooled.url().replace("/postgres", "/pgbouncer");
    let settings = query(&console, "show config");
    assert!(settings.lines().any(|line| line.starts_with("pool_mode|transaction|")), "{settings}");
    // A transaction gets the connection that the one before it gave back.
    let backend = || query(pooled.url(), "select pg_backend_pid()");
    assert_eq!(backend(), backend());
}

#[test]
fn dropped_it_is_gone() {
    let pooled = PgBouncer::start(&queue_testserver::url().unwrap()).unwrap();
    let port: u16 = pooled.url().rsplit([':', '/']).nth(1).unwrap().parse().unwrap();
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    drop(pooled);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn an_address_that_is_none_is_refused() {
    let error = PgBouncer::start("sqlite:jobs.db").unwrap_err().to_string();
    assert!(error.starts_with("failed to read the URL of a server"), "{error}");
}
