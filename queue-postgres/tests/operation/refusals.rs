//! A temporary refusal by an operator is an outage to a worker: no error is final, and the results
//! are stored afterwards.

use queue_core::backend::{
    Completion, HeartbeatRequest, LeasesRequest, SettleRequest, Settled, Settlement, Verdict,
};
use queue_core::{Backend, ErrorKind};
use queue_postgres::tokio_postgres;

use crate::database::{Database, leased, register, until};

/// The refusals: how to start and end each, from outside or inside of the database, and whether
/// only new sessions are affected.
const REFUSALS: &[Refusal] = &[
    Refusal {
        what: "the role may not settle or send heartbeats",
        take: "REVOKE EXECUTE ON FUNCTION queue.settle, queue.heartbeat, queue.leases FROM {r}",
        give: "GRANT EXECUTE ON FUNCTION queue.settle, queue.heartbeat, queue.leases TO {r}",
        at: Side::Inside,
        code: "42501",
    },
    Refusal {
        what: "the schema has another name",
        take: "ALTER SCHEMA queue RENAME TO away",
        give: "ALTER SCHEMA away RENAME TO queue",
        at: Side::Inside,
        code: "3F000",
    },
    Refusal {
        what: "a table has another name",
        take: "ALTER TABLE queue.live RENAME TO away",
        give: "ALTER TABLE queue.away RENAME TO live",
        at: Side::Inside,
        code: "42P01",
    },
    Refusal {
        what: "the server's rules have no entry for the role",
        take: "ALTER ROLE {r} NOLOGIN",
        give: "ALTER ROLE {r} LOGIN",
        at: Side::Outside,
        code: "28000",
    },
    Refusal {
        what: "the role may not connect",
        take: "REVOKE CONNECT ON DATABASE {d} FROM PUBLIC",
        give: "GRANT CONNECT ON DATABASE {d} TO PUBLIC",
        at: Side::Outside,
        code: "42501",
    },
    Refusal {
        what: "the database takes no connections",
        take: "ALTER DATABASE {d} ALLOW_CONNECTIONS false",
        give: "ALTER DATABASE {d} ALLOW_CONNECTIONS true",
        at: Side::Outside,
        code: "55000",
    },
    Refusal {
        what: "the role has no connection left",
        take: "ALTER ROLE {r} CONNECTION LIMIT 0",
        give: "ALTER ROLE {r} CONNECTION LIMIT -1",
        at: Side::Outside,
        code: "53300",
    },
    Refusal {
        what: "the database has another name",
        take: "ALTER DATABASE {d} RENAME TO {d}_away",
        give: "ALTER DATABASE {d}_away RENAME TO {d}",
        at: Side::Outside,
        code: "3D000",
    },
];

struct Refusal {
    what: &'static str,
    take: &'static str,
    give: &'static str,
    at: Side,
    /// The SQLSTATE of the server.
    code: &'static str,
}

/// Where the statements run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Inside,
    /// Affects only new sessions.
    Outside,
}

impl Refusal {
    async fn do_it(&self, database: &Database, sql: &str) {
        match self.at {
            Side::Inside => {
                let sql = sql.replace("{r}", &database.role);
                database.session().await.batch_execute(&sql).await.unwrap();
            }
            Side::Outside => database.run(sql).await,
        }
    }
}

/// The SQLSTATE of the server, from the chain of causes.
fn state(error: &queue_core::Error) -> Option<String> {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<tokio_postgres::Error>() {
            return error.code().map(|code| code.code().to_owned());
        }
        cause = error.source();
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_refusals_are_outages() {
    for refusal in REFUSALS {
        let database = Database::new().await;
        let config = database.config().pool_timeout(std::time::Duration::from_millis(50));
        let backend = queue_postgres::PostgresBackend::open(config).await.unwrap();
        let worker = register(&backend).await;
        let jobs = leased(&backend, worker, 3).await;
        let result = Verdict::Complete(Completion::new().result(b"7".to_vec()));
        let settle = || {
            let settlements = jobs.iter().map(|job| Settlement::new(job.token, result.clone())).collect();
            backend.settle(SettleRequest::new(worker, settlements))
        };

        if refusal.what.contains("another name") && refusal.at == Side::Outside {
            database.run("ALTER DATABASE {d} ALLOW_CONNECTIONS false").await;
            database.terminate().await;
            // Also ends sessions of the test.
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{d}'";
            until("no session is left", || async {
                database.run(sql).await;
                let inside = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
                database.outside.query_one(inside, &[&database.name]).await.unwrap().get::<_, i64>(0) == 0
            })
            .await;
            refusal.do_it(&database, refusal.take).await;
        } else {
            refusal.do_it(&database, refusal.take).await;
            if refusal.at == Side::Outside {
                database.terminate().await;
            }
        }

        // An ended session reports its end once. After that, the refusal itself is the error.
        let mut met = None;
        until("the refusal is met", || async {
            let Err(error) = settle().await else { return false };
            assert!(!error.is_final(), "{}: {error:?}", refusal.what);
            state(&error).as_deref() == Some(refusal.code)
        })
        .await;
        for error in [
            settle().await.map(drop).unwrap_err(),
            backend.heartbeat(HeartbeatRequest::new(worker)).await.map(drop).unwrap_err(),
            backend.leases(LeasesRequest::new(worker, jobs[0].token.claim)).await.map(drop).unwrap_err(),
        ] {
            assert!(!error.is_final(), "{}: {error:?}", refusal.what);
            let kinds = [ErrorKind::Misconfigured, ErrorKind::Unavailable, ErrorKind::Busy];
            assert!(kinds.contains(&error.kind()), "{}: {error:?}", refusal.what);
            met = Some(error);
        }
        assert!(met.is_some());

        refusal.do_it(&database, refusal.give).await;
        if refusal.what.contains("another name") && refusal.at == Side::Outside {
            database.run("ALTER DATABASE {d} ALLOW_CONNECTIONS true").await;
        }
        until("the same handle settles", || async {
            match settle().await {
                Ok(answers) => {
                    assert!(answers.iter().all(|answer| matches!(answer, Ok(Settled::Done))), "{answers:?}");
                    true
                }
                Err(error) => {
                    assert!(!error.is_final(), "{}: {error:?}", refusal.what);
                    false
                }
            }
        })
        .await;
        drop(backend);
        database.remove().await;
    }
}
