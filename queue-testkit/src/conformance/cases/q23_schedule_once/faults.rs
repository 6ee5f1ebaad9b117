//! Q23: a fire meets a fault.

use anyhow::{bail, ensure};
use queue_core::backend::{ScheduleChange, ScheduleChanged};
use queue_core::{ErrorKind, Result};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::fault::DOUBTS;
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::retry_until_ok;
use crate::conformance::wait::in_time;

cases! {
    Fault q23_a_fire_that_meets_a_fault_happens_wholly_or_not_at_all [Schedules] on DOUBTS,
}

const ROUNDS: usize = 10;

/// A fire is sent while its request, its reply or the whole connection is lost. The schedule must
/// have moved on exactly if its job is stored. The same request again must be stale after a fire
/// that happened, and fire otherwise. In the end each slot has one job.
async fn q23_a_fire_that_meets_a_fault_happens_wholly_or_not_at_all(kit: &Kit) -> CaseResult {
    for round in 0..ROUNDS {
        let old = kit.create_due(&format!("s{round}")).await?;
        let (new, job) = (kit.new_schedule(old.name.as_str())?, kit.spec("job").build()?);
        let broken = kit.inject(&job.id.to_bytes()).await?;
        let fire = ScheduleChange::replace(old.version, new).jobs(vec![job]);
        let answer = change(kit, fire.clone()).await?;
        broken.mend().await?;
        let Err(error) = answer else { bail!("the fire met no fault: {answer:?}") };
        ensure!(
            error.kind() == ErrorKind::UnknownOutcome || error.kind().is_retryable(),
            "a fire under the fault failed with {error}"
        );
        has_happened_or_not(kit, &fire, error.kind()).await?;
        ensure_eq!(kit.stored().await?.jobs.len(), round + 1, "the number of jobs after all slots fired");
    }
    Ok(())
}

async fn change(kit: &Kit, change: ScheduleChange) -> anyhow::Result<Result<ScheduleChanged>> {
    let results = in_time("a change", kit.impatient().try_change_all(vec![change])).await??;
    Ok(results.and_then(|mut results| results.remove(0)))
}

async fn has_happened_or_not(kit: &Kit, fire: &ScheduleChange, error: ErrorKind) -> CaseResult {
    let name = fire.name().as_str();
    let again = retry_until_ok("a fire to be repeated", || async { Ok(change(kit, fire.clone()).await??) });
    // Before the second request, which waits for the first one if that is still in progress.
    if error != ErrorKind::UnknownOutcome {
        ensure_eq!(kit.find(fire.jobs[0].id).await?, None, "the job of a fire that failed with {error:?}");
    }
    let has_fired = again.await? == ScheduleChanged::Stale;
    ensure_eq!(kit.schedule(name).await?.as_ref(), fire.schedule(), "the schedule after the same fire again");
    ensure!(
        kit.find(fire.jobs[0].id).await?.is_some(),
        "the job is missing, and the same fire again was stale: {has_fired}"
    );
    Ok(())
}
