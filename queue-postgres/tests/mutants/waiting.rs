//! A claim does not wait for another claim with an open transaction, so that a stuck claim blocks
//! no worker.
//!
//! No case of the suite can show that, because no backend lets it hold a transaction open.

use std::time::Duration;

use queue_core::backend::{Backend, ClaimRequest, InsertRequest, RegisterRequest};
use queue_core::{ClaimId, JobId, JobSpec, Kind, Payload, QueueName, WorkerId};
use tokio::time::{sleep, timeout};

use crate::caught::runtime;
use crate::mutation::Mutation;
use crate::test_schema::{TestSchema, connect, driver};

/// Far longer than a claim that does not wait.
const LONG: Duration = Duration::from_secs(60);
/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(5);

async fn insert(backend: &dyn Backend, many: usize) {
    let spec = |id| {
        JobSpec::new(id, Kind::new("job").unwrap(), Payload::json("{}").unwrap())
            .max_retries(3)
            .priority(0)
            .timeout(Duration::from_secs(60))
            .queue(QueueName::default())
    };
    let batch = JobId::generate_many(many).into_iter().map(spec).collect();
    backend.insert(InsertRequest::new(vec![batch])).await.unwrap().batches.remove(0).unwrap();
}

async fn request(backend: &dyn Backend, limit: u32) -> ClaimRequest {
    let worker = WorkerId::generate();
    backend.register(RegisterRequest::new(worker, "test", LONG)).await.unwrap();
    let kinds = vec![Kind::new("job").unwrap()];
    ClaimRequest::new(worker, ClaimId::generate().unwrap(), QueueName::default(), kinds, limit)
}

/// The number of jobs that a claim of three returns while another transaction has locked the first
/// three of six; `None` if the claim waits for it.
async fn beside_an_open_claim(schema: &TestSchema) -> Option<usize> {
    let backend = schema.open(driver()).await.unwrap();
    insert(&*backend, 6).await;
    let mut other = connect(&driver()).await;
    let open = other.transaction().await.unwrap();
    let first =
        schema.filled("SELECT id FROM {s}.live WHERE state = 'ready' ORDER BY run_at, id LIMIT 3 FOR UPDATE");
    assert_eq!(open.query(&first, &[]).await.unwrap().len(), 3);
    let request = request(&*backend, 3).await;
    let waits = async {
        let waiting =
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{s}%.claim(%'";
        while schema.column(waiting).await.is_empty() {
            sleep(PAUSE).await;
        }
    };
    let outcome = timeout(LONG, async {
        tokio::select! {
            reply = backend.claim(request) => Some(reply.unwrap().jobs.len()),
            () = waits => None,
        }
    });
    let outcome = outcome.await.unwrap();
    open.rollback().await.unwrap();
    outcome
}

#[test]
fn claim_skips_jobs_locked_by_an_open_claim() {
    runtime().block_on(async {
        let schema = TestSchema::new("waiting").await;
        assert_eq!(beside_an_open_claim(&schema).await, Some(3), "jobs other than the locked ones");
        schema.remove().await;
    });
}

/// Defines a mutant that a test of this file detects.
macro_rules! mutant {
    ($promise:ident $name:ident => $test:expr) => {
        #[test]
        fn $name() {
            $test;
        }
    };
}

mutant! {
    Q19 claims_without_skipping_locked_jobs => waits(Mutation {
        function: "claim",
        replaced: &[("FOR UPDATE SKIP LOCKED", "OFFSET 0 * {reached}::integer FOR UPDATE")],
    })
}

/// The same claim waits.
fn waits(mutation: Mutation) {
    runtime().block_on(async {
        let schema = TestSchema::new("waiting").await;
        schema.run("CREATE SEQUENCE {s}.reached").await;
        mutation.apply(&schema.owner, &schema.name, &schema.filled("{s}.reached")).await;
        assert_eq!(beside_an_open_claim(&schema).await, None, "the claim did not wait");
        let times = schema.column("SELECT last_value FROM {s}.reached WHERE is_called").await;
        assert!(!times.is_empty(), "the mutation was not reached");
        schema.remove().await;
    });
}
