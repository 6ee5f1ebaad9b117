//! Several hosts in a URL, and a host name that moves to another server.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use queue_core::backend::{HeartbeatRequest, ListRequest};
use queue_core::{Backend, ErrorKind};
use queue_postgres::tokio_postgres::config::Host;
use queue_postgres::tokio_postgres::{AsyncMessage, Client, Config, NoTls};
use queue_postgres::{PostgresBackend, PostgresConfig};
use queue_testserver::{Options, Server};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use crate::database::{Database, LONG, column, connect, in_time, insert, register, spec, until};

/// Long enough for a connection on a busy machine.
const CONNECT: Duration = Duration::from_secs(3);

fn host_and_port(database: &Database) -> (String, u16) {
    let driver = database.as_role();
    let Host::Tcp(host) = &driver.get_hosts()[0] else { panic!("the test server is reached by TCP") };
    (host.clone(), driver.get_ports()[0])
}

#[tokio::test]
async fn silent_host_leaves_time_for_the_next() {
    let database = Database::new().await;
    let (host, port) = host_and_port(&database);
    // Accepts connections but never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let url = format!(
        "postgres://{}@127.0.0.1:{silent_port},{host}:{port}/{}?application_name=hosts",
        database.role, database.name
    );
    let config = PostgresConfig::from_url(&url).unwrap().connect_timeout(CONNECT);
    let backend = in_time("the second host", PostgresBackend::open(config)).await.unwrap();
    // The silent host is not tried again for each connection.
    let start = Instant::now();
    let many: Vec<_> = (0..6)
        .map(|_| {
            let backend = backend.clone();
            tokio::spawn(async move { insert(&backend, vec![spec()]).await })
        })
        .collect();
    for one in many {
        one.await.unwrap().unwrap();
    }
    assert!(start.elapsed() < CONNECT, "{:?}", start.elapsed());
    drop(backend);
    database.remove().await;
}

/// A failover to the last of three hosts, of which the first two are silent. Each request times out
/// on its own, and the third heartbeat succeeds.
#[tokio::test]
async fn connection_wait_times_out_then_tries_another_host() {
    const PATIENCE: Duration = Duration::from_millis(500);
    let database = Database::new().await;
    let (host, port) = host_and_port(&database);
    let (one, two) = (Name::new(&host, port).await, Name::new(&host, port).await);
    let hosts = format!("{},{},{host}:{port}", one.address, two.address);
    let url = format!("postgres://{}@{hosts}/{}", database.role, database.name);
    let config = PostgresConfig::from_url(&url).unwrap().connect_timeout(LONG);
    let config = config.heartbeat_timeout(PATIENCE).pool_timeout(PATIENCE);
    let backend = in_time("open", PostgresBackend::open(config)).await.unwrap();
    let worker = register(&backend).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for name in [&one, &two] {
        name.leads_to.send_replace(silent.local_addr().unwrap().to_string());
    }
    database.terminate().await;
    // A session may notice its end only at its next request.
    let mut failures = Vec::new();
    let beat = || backend.heartbeat(HeartbeatRequest::new(worker));
    while let Err(error) = in_time("the end of a heartbeat", beat()).await {
        failures.push(error.to_string());
    }
    let waits = |failures: &[String]| {
        failures.iter().filter(|error| error.contains("was established within")).count()
    };
    assert_eq!(waits(&failures), 2, "{failures:?}");
    in_time("an insert", insert(&backend, vec![spec()])).await.unwrap();
    drop(backend);
    database.remove().await;
}

#[tokio::test]
async fn error_names_the_failure_of_each_host() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let url = format!("postgres://ada@127.0.0.1:{silent_port},nowhere.invalid/none?connect_timeout=1");
    let error = PostgresBackend::open(PostgresConfig::from_url(&url).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    for part in [
        &format!("port {silent_port}: no connection was established within 1s"),
        "nowhere.invalid",
        "cannot be resolved",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn open_refuses_a_read_only_server() {
    let database = Database::new().await;
    database.run("ALTER ROLE {r} SET default_transaction_read_only = on").await;
    let error = PostgresBackend::open(database.config()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("read-only"), "{error}");
    database.remove().await;
}

/// A host name that leads to one server and then to another. New connections use the current one.
struct Name {
    address: SocketAddr,
    leads_to: watch::Sender<String>,
}

impl Name {
    async fn of(server: &Server) -> Self {
        Self::new("127.0.0.1", server.port()).await
    }

    async fn new(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let leads_to = watch::Sender::new(format!("{host}:{port}"));
        let target = leads_to.subscribe();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = target.borrow().clone();
                tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(target).await {
                        copy_bidirectional(&mut client, &mut server).await.ok();
                    }
                });
            }
        });
        Self { address, leads_to }
    }

    fn lead_to(&self, server: &Server) {
        self.leads_to.send_replace(format!("127.0.0.1:{}", server.port()));
    }

    fn config(&self) -> PostgresConfig {
        let mut driver = Config::new();
        driver
            .host(self.address.ip().to_string())
            .port(self.address.port())
            .user("postgres")
            .dbname("postgres");
        PostgresConfig::new(driver).ping_interval(Duration::from_millis(100))
    }
}

async fn started() -> (Server, Client) {
    let server = tokio::task::spawn_blocking(|| Server::start(&Options::throwaway())).await.unwrap().unwrap();
    let client = connect(&server.url().parse().unwrap()).await;
    (server, client)
}

/// As in a blue-green deployment, the old server stays up read-only, with its connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listener_and_notifier_follow_the_host_name() {
    let (old, at_old) = started().await;
    let (new, at_new) = started().await;
    let name = Name::of(&new).await;
    drop(PostgresBackend::open(name.config()).await.unwrap());
    name.lead_to(&old);
    let backend = PostgresBackend::open(name.config()).await.unwrap();
    let mut wakes = backend.subscribe();
    assert!(in_time("a wake-up", wakes.recv()).await.unknown, "it listens");
    insert(&backend, vec![spec()]).await.unwrap();
    // A connection of each purpose exists, and all lead to the old server. The last statement of
    // the listener is its ping.
    let listens =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '-- Whether the server is read-only%'";
    until("it listens at the old server", || async { column(&at_old, listens).await != ["0"] }).await;

    at_old.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
    at_old.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    name.lead_to(&new);
    until("it listens at the new server", || async { column(&at_new, listens).await != ["0"] }).await;

    let notification = next_notification(&new).await;
    until("the same handle writes to the new server", || async {
        match insert(&backend, vec![spec()]).await {
            Ok(_) => true,
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                false
            }
        }
    })
    .await;
    in_time("a notification at the new server", notification).await.unwrap();
    assert_eq!(column(&at_old, "SELECT count(*) FROM queue.jobs").await, ["1"]);
    // Reads use the new server, too.
    until("a read is of the new server", || async {
        backend
            .extensions()
            .inspect
            .unwrap()
            .list(ListRequest::new(9))
            .await
            .is_ok_and(|jobs| jobs.len() == 1)
    })
    .await;
}

/// Receives the next notification at a server.
async fn next_notification(server: &Server) -> oneshot::Receiver<()> {
    let driver: Config = server.url().parse().unwrap();
    let (client, mut connection) = driver.connect(NoTls).await.unwrap();
    let (sender, receiver) = oneshot::channel();
    let mut sender = Some(sender);
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let (AsyncMessage::Notification(_), Some(sender)) = (message, sender.take()) {
                sender.send(()).ok();
            }
        }
    });
    client.batch_execute("LISTEN queue_wake").await.unwrap();
    // The connection needs the client to stay alive.
    tokio::spawn(async move {
        let _client = client;
        std::future::pending::<()>().await;
    });
    receiver
}
