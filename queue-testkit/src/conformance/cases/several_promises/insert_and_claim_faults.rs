//! Claims within an insert, under faults.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};
use queue_core::backend::{InsertReply, InsertRequest};
use queue_core::{Enqueuer as _, Error, ErrorKind, JobId, Submitted};

use super::doubts::in_doubt;
use crate::conformance::act::persist;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::fault::{DOUBTS, Fault};
use crate::conformance::kit::Kit;
use crate::conformance::program::{Program, Started, new_job, stop};
use crate::conformance::session::complete;
use crate::conformance::wait::in_time;

cases! {
    Fault q03_an_idle_worker_finds_what_it_was_given_without_an_answer [InsertAndClaim] on LOST,
    Fault q16_an_insert_of_unknown_outcome_and_its_claim_agree [InsertAndClaim] on DOUBTS,
}

/// The most inserts until one carries a claim.
const TURNS: usize = 60;

const LOST: &[Fault] = &[Fault::RequestLost, Fault::ReplyLost];

/// The reply to an insert with the claim of an idle worker is lost. The enqueuer repeats the
/// insert, and the job must run once, as attempt 1. Repeats until a struck insert carried a claim.
async fn q03_an_idle_worker_finds_what_it_was_given_without_an_answer(kit: &Kit) -> CaseResult {
    const KIND: &str = "a-kind-of-its-own";
    let handle = kit.impatient();
    let mut program = Program::new(&handle)?;
    program.on(KIND, |_, _| async { Ok(()) })?;
    let worker = program.start(2)?;
    for _ in 0..TURNS {
        let with_claims = || handle.history().inserts_with_claims();
        let before = with_claims();
        let id = JobId::generate();
        let job = new_job(KIND, "{}")?.id(id);
        let broken = kit.inject(&id.to_bytes()).await?;
        let first = in_time("an answer", program.queue.submit(vec![job.clone()])).await?;
        let had_claim = with_claims() > before;
        broken.mend().await?;
        fails_with(first, ErrorKind::UnknownOutcome)?;
        let submit = || async { Ok(program.queue.submit(vec![job.clone()]).await) };
        persist("submit", submit).await??;
        program.ended(&[id]).await?;
        ensure_eq!(program.next_start().await?, Started { id, attempt: 1 }, "the attempt that ran");
        ensure!(program.starts_so_far().is_empty(), "the job ran more than once");
        if had_claim {
            return stop(worker).await;
        }
    }
    bail!("no insert carried the claim of the idle worker")
}

/// An insert with a claim has an unknown outcome. Its jobs must be leased to the worker or not at
/// all, and another worker must get exactly the rest.
async fn q16_an_insert_of_unknown_outcome_and_its_claim_agree(kit: &Kit) -> CaseResult {
    kit.knows_kind(&"job".parse()?);
    for _ in 0..4 {
        let (worker, name) = (kit.worker().await?, kit.new_claim_id());
        let specs = (0..3).map(|_| kit.spec("job").build()).collect::<queue_core::Result<Vec<_>>>()?;
        let jobs: BTreeSet<JobId> = specs.iter().map(|spec| spec.id).collect();
        let handle = kit.impatient();
        let backend = handle.backend()?;
        let claim = handle.claiming(worker, 2).claim_id(name).request()?;
        let request = InsertRequest::new(vec![specs.clone()]).at(kit.now());
        let insert = |request: InsertRequest| async {
            let reply = backend.insert(request).await;
            Ok(reply.and_then(|mut reply| reply.batches.remove(0)))
        };
        let with_claim = || async {
            let reply = backend.insert(request.clone().claim(claim.clone())).await;
            Ok(reply.and_then(outcome_with_claim))
        };
        in_doubt(kit, &specs[1].id.to_bytes(), with_claim).await?;
        let held = persist("leases", || async { Ok(handle.try_leases(worker, name).await) }).await??;
        let stored = kit.stored().await?.jobs.iter().filter(|job| jobs.contains(job)).count();
        match kit.fault()? {
            Fault::ReplyLost => {
                ensure_eq!((stored, held.len()), (3, 2), "the numbers of stored jobs and of leases");
            }
            Fault::RequestLost => {
                ensure_eq!((stored, held.len()), (0, 0), "the numbers of stored jobs and of leases");
            }
            _ => {}
        }
        persist("insert", || insert(request.clone())).await??;
        let rest = kit.claim(kit.worker().await?, 10).await?;
        let all: Vec<JobId> = held.iter().chain(&rest).map(|job| job.token.job).collect();
        ensure_eq!(all.len(), 3, "the number of jobs in both claims together");
        ensure_eq!(all.into_iter().collect::<BTreeSet<_>>(), jobs, "the jobs in both claims");
        let ends: Vec<_> = held.iter().chain(&rest).map(|job| (job.token, complete())).collect();
        kit.settle(ends).await?;
    }
    Ok(())
}

/// The result of the batch. If its outcome is unknown, the outcome of the claim must be unknown,
/// too.
fn outcome_with_claim(mut reply: InsertReply) -> queue_core::Result<Vec<Submitted>> {
    let is_unknown = |error: &Error| error.kind() == ErrorKind::UnknownOutcome;
    let Some(batch) = reply.batches.pop() else {
        // The caller retries this error.
        return Err(Error::new(ErrorKind::Unavailable, "insert jobs", "the insert was declined"));
    };
    if batch.as_ref().is_err_and(is_unknown)
        && !reply.claim.as_ref().is_some_and(|claim| claim.as_ref().is_err_and(is_unknown))
    {
        let message =
            format!("the outcome of the batch is unknown, but that of its claim is {:?}", reply.claim);
        return Err(Error::new(ErrorKind::Corrupt, "insert jobs", message));
    }
    batch
}
