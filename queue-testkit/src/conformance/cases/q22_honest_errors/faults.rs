//! Q22: under each fault errors are honest, no request hangs, and the handle works afterwards.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use queue_core::Result;
use queue_core::testing::drop_after;
use tokio::task::JoinHandle;

use crate::conformance::act::{Act, Answer, judge, one_of_each, some_of_each};
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::fault::{Fault, Manner, OUTAGES};
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::{MAX_INJECTIONS, RepeatedFault, works_again};
use crate::conformance::wait::in_time;

cases! {
    Fault q22_each_operation_fails_honestly_and_is_done_by_doing_it_again on Fault::ALL,
    Fault q22_requests_dropped_during_a_fault_leave_nothing_behind on OUTAGES,
}

/// The number of rounds under a fault that callers must not notice.
const QUIET_ROUNDS: u32 = 4;
/// The sets of operations in flight when a momentary fault is injected.
const AT_A_STRIKE: usize = 3;
/// The operations that a momentary fault must have failed at least once.
const TO_BE_MET: [&str; 4] = ["insert", "claim", "settle", "cancel"];

/// Each operation runs under the fault, concurrently if the fault lasts. It must return as the
/// fault permits, within bounded time. Repeated on the same handle, it must have been done exactly
/// once.
async fn q22_each_operation_fails_honestly_and_is_done_by_doing_it_again(kit: &Kit) -> CaseResult {
    let fault = kit.fault()?;
    match fault.manner() {
        Manner::Aimed => {
            for act in one_of_each(kit).await? {
                let broken = kit.inject(&act.target(fault)).await?;
                let answer = in_time(act.name(), act.attempt(&kit.impatient())).await??;
                broken.mend().await?;
                judge(&act, fault, &answer)?;
                act.finish(kit, &answer).await?;
            }
        }
        Manner::Lasting => {
            let rounds = if fault.is_hidden_from_callers() { QUIET_ROUNDS } else { 1 };
            for _ in 0..rounds {
                let acts = one_of_each(kit).await?;
                let broken = kit.inject(&[]).await?;
                let answers = answers(start(kit, &acts)).await?;
                broken.mend().await?;
                judge_and_finish(kit, &acts, &answers).await?;
            }
        }
        Manner::Moment => run_all_under_a_momentary_fault(kit).await?,
    }
    kit.works_again().await
}

/// Injects the fault until it has failed each operation of `TO_BE_MET`.
async fn run_all_under_a_momentary_fault(kit: &Kit) -> CaseResult {
    let (mut met, mut strikes) = (BTreeSet::new(), RepeatedFault::default());
    for _ in 0..MAX_INJECTIONS {
        let sets = some_of_each(kit, AT_A_STRIKE).await?;
        let work = sets.iter().map(|acts| async { answers(start(kit, acts)).await }).collect();
        for (acts, answers) in sets.iter().zip(strikes.inject_during(kit, work).await?) {
            judge_and_finish(kit, acts, &answers).await?;
            let failed = acts.iter().zip(&answers).filter(|(_, answer)| answer.is_err());
            met.extend(failed.map(|(act, _)| act.name()));
        }
        if TO_BE_MET.iter().all(|name| met.contains(name)) {
            return Ok(());
        }
    }
    bail!("the fault was injected {MAX_INJECTIONS} times, but only {met:?} failed")
}

type Started = Vec<JoinHandle<anyhow::Result<Result<Answer>>>>;

/// Starts all operations concurrently on one handle.
fn start(kit: &Kit, acts: &[Act]) -> Started {
    let start = |act: &Act| {
        let (act, handle) = (act.clone(), kit.impatient());
        tokio::spawn(async move { act.attempt(&handle).await })
    };
    acts.iter().map(start).collect()
}

async fn answers(started: Started) -> anyhow::Result<Vec<Result<Answer>>> {
    let mut answers = Vec::with_capacity(started.len());
    for task in started {
        answers.push(in_time("all operations to return", task).await?.context("an operation panicked")??);
    }
    Ok(answers)
}

async fn judge_and_finish(kit: &Kit, acts: &[Act], answers: &[Result<Answer>]) -> CaseResult {
    for (act, answer) in acts.iter().zip(answers) {
        judge(act, kit.fault()?, answer)?;
    }
    for (act, answer) in acts.iter().zip(answers) {
        act.finish(kit, answer).await?;
    }
    Ok(())
}

/// Each operation is dropped after a few polls under the fault. It must be repeatable afterwards,
/// and the handle must serve as many concurrent requests as before.
async fn q22_requests_dropped_during_a_fault_leave_nothing_behind(kit: &Kit) -> CaseResult {
    let is_over_at_once = kit.fault()?.manner() == Manner::Moment;
    let handle = kit.impatient();
    for polls in [1, 2, 3] {
        let acts = one_of_each(kit).await?;
        let mut broken = None;
        if !is_over_at_once {
            broken = Some(kit.inject(&[]).await?);
        }
        let mut answers = Vec::new();
        for act in &acts {
            answers.push(drop_after(polls, act.attempt(&handle)).await.transpose()?);
        }
        let broken = match broken {
            Some(broken) => broken,
            // A dropped request may still be in progress in the backend.
            None => kit.inject(&[]).await?,
        };
        broken.mend().await?;
        for (act, answer) in acts.iter().zip(answers) {
            // A dropped future has an unknown outcome.
            let answer = answer.unwrap_or_else(|| Err(dropped()));
            act.finish(kit, &answer).await?;
        }
    }
    let workers: Vec<_> = (0..12)
        .map(|_| {
            let handle = kit.impatient();
            tokio::spawn(async move { works_again(&handle).await })
        })
        .collect();
    for worker in workers {
        match in_time("concurrent requests to return", worker).await? {
            Ok(outcome) => outcome?,
            Err(error) => bail!("a task panicked: {error}"),
        }
    }
    Ok(())
}

fn dropped() -> queue_core::Error {
    queue_core::Error::new(
        queue_core::ErrorKind::UnknownOutcome,
        "wait for the answer",
        "the future was dropped",
    )
}
