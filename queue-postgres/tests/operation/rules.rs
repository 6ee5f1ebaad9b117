//! A server of the test's own, of which the access rules and passwords change.

use queue_core::backend::{Completion, HeartbeatRequest, SettleRequest, Settled, Settlement, Verdict};
use queue_core::{Backend, ErrorKind};
use queue_postgres::tokio_postgres::{Client, Config};
use queue_postgres::{PostgresBackend, PostgresConfig, Rights, rights_sql};
use queue_testserver::{Options, Server};

use crate::database::{connect, leased, register, until};

/// Everybody is let in, but for a role that gives its password.
const BY_PASSWORD: &str = "host all app 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n";

/// The role has no entry.
const WITHOUT_THE_ROLE: &str = "host all postgres 127.0.0.1/32 trust\n";

struct House {
    server: Server,
    superuser: Client,
}

impl House {
    /// With a migrated schema, and the role `app`, which has the password `first`.
    async fn new() -> Self {
        let server = Server::start(&Options::throwaway()).unwrap();
        let superuser = server.url().parse::<Config>().unwrap();
        drop(PostgresBackend::open(PostgresConfig::new(superuser.clone())).await.unwrap());
        let house = Self { server, superuser: connect(&superuser).await };
        house.run("CREATE ROLE app LOGIN PASSWORD 'first'").await;
        house.run(&rights_sql("queue", "app", [Rights::Worker, Rights::Enqueuer]).unwrap()).await;
        house.rules(BY_PASSWORD).await;
        house
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

    /// What is taken away is felt by new sessions only.
    async fn end_sessions(&self) {
        self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_the_server_does_not_let_in_for_a_while_stores_its_results_afterwards() {
    let house = House::new().await;
    let backend = PostgresBackend::open(house.app()).await.unwrap();
    let worker = register(&backend).await;
    let jobs = leased(&backend, worker, 6).await;
    let settle = |job: usize| {
        let settlement =
            Settlement::new(jobs[job].token, Verdict::Complete(Completion::new().result(b"7".to_vec())));
        backend.settle(SettleRequest::new(worker, vec![settlement]))
    };
    for (number, word) in ["password authentication failed", "no pg_hba.conf entry"].into_iter().enumerate() {
        match number {
            0 => house.run("ALTER ROLE app PASSWORD 'second'").await,
            _ => house.rules(WITHOUT_THE_ROLE).await,
        }
        house.end_sessions().await;
        until("the refusal is met", || async {
            let Err(error) = settle(number).await else { return false };
            assert!(!error.is_final(), "{error:?}");
            error.kind() == ErrorKind::Misconfigured && error.to_string().contains(word)
        })
        .await;
        let error = backend.heartbeat(HeartbeatRequest::new(worker)).await.map(drop).unwrap_err();
        assert!(!error.is_final(), "{error:?}");
        // Whoever opens a handle is told that waiting does not help.
        let error = PostgresBackend::open(house.app()).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error:?}");
        assert!(!error.is_retryable(), "{error:?}");

        house.run("ALTER ROLE app PASSWORD 'first'").await;
        house.rules(BY_PASSWORD).await;
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
