//! Unreadable jobs, stored by other programs.

use std::time::Duration;

use queue_core::backend::{ClaimedJob, LeasesRequest};
use queue_core::{Backend, Backoff, JobId};

use crate::common::{TestSchema, claim, insert, register, spec};

const SECOND: Duration = Duration::from_secs(1);

fn ids(jobs: &[ClaimedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.token.job).collect()
}

#[tokio::test]
async fn unreadable_job_leaves_the_claim_intact() {
    let schema = TestSchema::new();
    let backend = schema.open().await;
    let worker = register(&backend).await;
    let specs = vec![spec("1"), spec("2"), spec("3")];
    let (first, damaged, last) = (specs[0].id, specs[1].id, specs[2].id);
    insert(&backend, specs).await.unwrap();
    let damage = format!(
        "UPDATE {0}.jobs SET backoff_base = '1 s', backoff_cap = '1 s' WHERE id = {0}.id('{damaged}')",
        schema.name()
    );
    schema.connect().await.batch_execute(&damage).await.unwrap();

    let request = claim(worker, 3);
    let leases = LeasesRequest::new(worker, request.claim);
    let reply = backend.claim(request).await.unwrap();
    assert_eq!(ids(&reply.jobs), [first, last]);
    assert_eq!(reply.next_due, Some(Duration::ZERO), "another may be had instead");
    assert_eq!(ids(&backend.leases(leases).await.unwrap()), [first, last]);
}

#[tokio::test]
async fn backoff_inserted_without_jitter_has_none() {
    let schema = TestSchema::new();
    let backend = schema.open().await;
    let worker = register(&backend).await;
    let enter = format!(
        "SELECT {0}.insert_jobs(NULL, ARRAY[{0}.id('{1}')], '{{send-email}}', '{{default}}', '{{0}}', '{{NULL}}', '{{3}}', \
        '{{1 s}}', '{{1 s}}', '{{NULL}}', '{{NULL}}', '{{1}}')",
        schema.name(),
        JobId::generate()
    );
    schema.connect().await.batch_execute(&enter).await.unwrap();
    let jobs = backend.claim(claim(worker, 1)).await.unwrap().jobs;
    assert_eq!(jobs[0].backoff, Some(Backoff::new(SECOND, SECOND).with_jitter(0)));
}
