//! A separate server whose access rules and passwords change.

use queue_core::backend::{Completion, HeartbeatRequest, SettleRequest, Settled, Settlement, Verdict};
use queue_core::{Backend, ErrorKind};
use queue_postgres::tokio_postgres::{Client, Config};
use queue_postgres::{PostgresBackend, PostgresConfig, Rights, rights_sql};
use queue_testserver::{Options, Server};

use crate::database::{connect, leased, register, until};

/// The superuser needs no password; the role `app` does.
const BY_PASSWORD: &str = "host all app 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n";

/// The role `app` has no entry.
const WITHOUT_THE_ROLE: &str = "host all postgres 127.0.0.1/32 trust\n";

struct OwnServer {
    server: Server,
    superuser: Client,
}

impl OwnServer {
    /// Starts a server with a migrated schema, and the role `app` with the password `first`.
    async fn new() -> Self {
        let server = Server::start(&Options::throwaway()).unwrap();
        let superuser = server.url().parse::<Config>().unwrap();
        drop(PostgresBackend::open(PostgresConfig::new(superuser.clone())).await.unwrap());
        let server = Self { server, superuser: connect(&superuser).await };
        server.run("CREATE ROLE app LOGIN PASSWORD 'first'").await;
        server.run(&rights_sql("queue", "app", [Rights::Worker, Rights::Enqueuer]).unwrap()).await;
        server.rules(BY_PASSWORD).await;
        server
    }

    async fn run(&self, sql: &str) {
        self.superuser.batch_execute(sql).await.unwrap();
    }

    async fn rules(&self, rules: &str) {
        std::fs::write(self.server.folder().join("data/pg_hba.conf"), rules).unwrap();
        self.run("SELECT pg_reload_conf()").await;
    }

    fn app(&self) -> PostgresConfig {
        let mut driver = self.server.url().parse::<Config>().unwrap();
        driver.user("app").password("first");
        PostgresConfig::new(driver)
    }

    /// Ends the role's sessions, because only new sessions are refused.
    async fn end_sessions(&self) {
        self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_refused_temporarily_settles_afterwards() {
    let server = OwnServer::new().await;
    let backend = PostgresBackend::open(server.app()).await.unwrap();
    let worker = register(&backend).await;
    let jobs = leased(&backend, worker, 6).await;
    let settle = |job: usize| {
        let settlement =
            Settlement::new(jobs[job].token, Verdict::Complete(Completion::new().result(b"7".to_vec())));
        backend.settle(SettleRequest::new(worker, vec![settlement]))
    };
    for (number, word) in ["password authentication failed", "no pg_hba.conf entry"].into_iter().enumerate() {
        match number {
            0 => server.run("ALTER ROLE app PASSWORD 'second'").await,
            _ => server.rules(WITHOUT_THE_ROLE).await,
        }
        server.end_sessions().await;
        until("the refusal is met", || async {
            let Err(error) = settle(number).await else { return false };
            assert!(!error.is_final(), "{error:?}");
            error.kind() == ErrorKind::Misconfigured && error.to_string().contains(word)
        })
        .await;
        let error = backend.heartbeat(HeartbeatRequest::new(worker)).await.map(drop).unwrap_err();
        assert!(!error.is_final(), "{error:?}");
        // An open fails with an error that is not retryable.
        let error = PostgresBackend::open(server.app()).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error:?}");
        assert!(!error.is_retryable(), "{error:?}");

        server.run("ALTER ROLE app PASSWORD 'first'").await;
        server.rules(BY_PASSWORD).await;
        until("the same handle settles", || async {
            match settle(number).await {
                Ok(answers) => {
                    assert!(answers.iter().all(|answer| matches!(answer, Ok(Settled::Done))), "{answers:?}");
                    true
                }
                Err(error) => {
                    assert!(!error.is_final(), "{error:?}");
                    false
                }
            }
        })
        .await;
    }
}
