//! Q1, Q3, Q22: whatever becomes of the server or of the way to it, a worker goes on by itself afterwards, and
//! everything that was acknowledged is done once.

use std::sync::Arc;
use std::time::Duration;

use queue_postgres::PostgresConfig;
use queue_testkit::proxy::{Proxy, Traffic};
use queue_testserver::{Options, Server, Shutdown};

use crate::common::{Place, connect, terminate, until};
use crate::drain::Drain;

fn server() -> Server {
    Server::start(&Options::throwaway()).unwrap()
}

/// What is silent is given up soon.
fn impatient(config: PostgresConfig) -> PostgresConfig {
    config
        .connect_timeout(Duration::from_millis(500))
        .pool_timeout(Duration::from_millis(500))
        .request_timeout(Duration::from_millis(500))
        .heartbeat_timeout(Duration::from_millis(300))
        .ping_interval(Duration::from_millis(200))
}

async fn a_restart(shutdown: Shutdown) {
    let mut server = server();
    let place = Arc::new(Place::on(&server.url()));
    let drain = Drain::start(Arc::clone(&place), place.config()).await;
    for _ in 0..2 {
        tokio::task::block_in_place(|| server.stop(shutdown)).unwrap();
        drain.fails().await;
        tokio::task::block_in_place(|| server.start_again()).unwrap();
        drain.goes_on().await;
    }
    drain.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_and_starts_again_is_waited_for() {
    a_restart(Shutdown::Fast).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_and_starts_again_is_waited_for() {
    a_restart(Shutdown::Immediate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_ended_again_and_again_are_replaced() {
    let place = Arc::new(Place::new());
    let drain = Drain::start(Arc::clone(&place), place.config()).await;
    let client = place.connect().await;
    let mut ended = 0;
    for _ in 0..20 {
        ended += terminate(&client, place.schema()).await;
        // Time for some to come back, and to be in the middle of something.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert!(ended > 40, "{ended} sessions were ended");
    assert!(drain.backend.failures() > 0, "none was ended while it had something to do");
    drain.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_are_made_again() {
    let place = Arc::new(Place::new());
    let proxy = Proxy::start(place.server()).await.unwrap();
    let drain = Drain::start(Arc::clone(&place), place.config_at(proxy.address())).await;
    let before = proxy.accepted();
    for _ in 0..10 {
        proxy.cut();
        drain.goes_on().await;
    }
    assert!(proxy.accepted() > before + 10);
    // And for a while nobody gets through.
    proxy.set(Traffic::Refuse);
    proxy.cut();
    drain.fails().await;
    proxy.set(Traffic::Pass);
    drain.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fall_silent_are_given_up() {
    let place = Arc::new(Place::new());
    let proxy = Proxy::start(place.server()).await.unwrap();
    let drain = Drain::start(Arc::clone(&place), impatient(place.config_at(proxy.address()))).await;
    for _ in 0..2 {
        proxy.set(Traffic::Swallow);
        drain.fails().await;
        let beats = drain.backend.failures_of("heartbeat");
        until("a heartbeat is given up", || async { drain.backend.failures_of("heartbeat") > beats }).await;
        proxy.set(Traffic::Pass);
        drain.goes_on().await;
    }
    drain.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_come_too_late_do_no_harm() {
    let place = Arc::new(Place::new());
    let proxy = Proxy::start(place.server()).await.unwrap();
    let drain = Drain::start(Arc::clone(&place), impatient(place.config_at(proxy.address()))).await;
    for _ in 0..2 {
        // What is held reaches the server after its sender has given it up.
        proxy.set(Traffic::Stall);
        drain.fails().await;
        proxy.set(Traffic::Pass);
        drain.goes_on().await;
    }
    drain.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_read_only_for_a_while_is_waited_for() {
    let server = server();
    let place = Arc::new(Place::on(&server.url()));
    let drain = Drain::start(Arc::clone(&place), place.config()).await;
    let admin = connect(&server.url()).await;
    for (setting, is_over) in [("on", false), ("off", true)] {
        let set = format!("ALTER SYSTEM SET default_transaction_read_only = {setting}");
        admin.batch_execute("SET default_transaction_read_only = off").await.unwrap();
        admin.batch_execute(&set).await.unwrap();
        admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        if !is_over {
            terminate(&admin, place.schema()).await;
            let read_only = || drain.backend.report().values().any(|(_, error)| error.contains("read-only"));
            until("somebody is told that it is read-only", || async { read_only() }).await;
            drain.fails().await;
        }
    }
    drain.finish().await;
}
