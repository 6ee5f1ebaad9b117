//! A claim does not wait for another whose transaction is open: what is stuck there holds up no worker.
//!
//! No case of the suite can show that, since no backend lets it hold a transaction open.

use std::time::Duration;

use queue_core::backend::{Backend, ClaimRequest, InsertRequest, RegisterRequest};
use queue_core::{ClaimId, JobId, JobSpec, Kind, Payload, QueueName, WorkerId};
use tokio::time::{sleep, timeout};

use crate::caught::runtime;
use crate::mutation::Mutation;
use crate::place::{Place, connect, driver};

/// Far longer than a claim takes that does not wait.
const LONG: Duration = Duration::from_secs(60);
/// Between two looks.
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
    backend.insert(InsertRequest::new(vec![batch])).await.unwrap().remove(0).unwrap();
}

async fn request(backend: &dyn Backend, limit: u32) -> ClaimRequest {
    let worker = WorkerId::generate();
    backend.register(RegisterRequest::new(worker, "test", LONG)).await.unwrap();
    let kinds = vec![Kind::new("job").unwrap()];
    ClaimRequest::new(worker, ClaimId::generate().unwrap(), QueueName::default(), kinds, limit)
}

/// What a claim of three brings while another has locked the first three of six jobs, unless it waits for that.
async fn beside_an_open_claim(place: &Place) -> Option<usize> {
    let backend = place.open(driver()).await.unwrap();
    insert(&*backend, 6).await;
    let mut other = connect(&driver()).await;
    let open = other.transaction().await.unwrap();
    let first =
        place.filled("SELECT id FROM {s}.live WHERE state = 'ready' ORDER BY run_at, id LIMIT 3 FOR UPDATE");
    assert_eq!(open.query(&first, &[]).await.unwrap().len(), 3);
    let request = request(&*backend, 3).await;
    let waits = async {
        let waiting =
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{s}%.claim(%'";
        while place.column(waiting).await.is_empty() {
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
fn a_claim_passes_by_what_an_open_claim_has_locked() {
    runtime().block_on(async {
        let place = Place::new("waiting").await;
        assert_eq!(beside_an_open_claim(&place).await, Some(3), "jobs beside those that are locked");
        place.remove().await;
    });
}

/// Enters a mutant that is found by a test of this file.
macro_rules! mutant {
    ($promise:ident $name:ident => $test:expr) => {
        #[test]
        fn $name() {
            $test;
        }
    };
}

mutant! {
    Q19 claims_without_skipping_what_is_locked => waits(Mutation {
        function: "claim",
        replaced: &[("FOR UPDATE SKIP LOCKED", "OFFSET 0 * {reached}::integer FOR UPDATE")],
    })
}

/// The same claim does not come back.
fn waits(mutation: Mutation) {
    runtime().block_on(async {
        let place = Place::new("waiting").await;
        place.run("CREATE SEQUENCE {s}.reached").await;
        mutation.apply(&place.owner, &place.schema, &place.filled("{s}.reached")).await;
        assert_eq!(beside_an_open_claim(&place).await, None, "the claim did not wait");
        let times = place.column("SELECT last_value FROM {s}.reached WHERE is_called").await;
        assert!(!times.is_empty(), "the mutation was not reached");
        place.remove().await;
    });
}
