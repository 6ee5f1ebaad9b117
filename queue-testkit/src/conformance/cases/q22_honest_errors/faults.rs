//! Q22: whatever becomes of the storage, errors are honest, nothing hangs, and the handle lives on.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use queue_core::Result;
use queue_core::testing::drop_after;
use tokio::task::JoinHandle;

use crate::conformance::act::{Act, Answer, judge, one_of_each, some_of_each};
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::fault::{Fault, Manner, OUTAGES};
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::{MOST_STRIKES, Strikes, in_time, works_again};

cases! {
    Fault q22_each_operation_fails_honestly_and_is_done_by_doing_it_again on Fault::ALL,
    Fault q22_requests_dropped_during_a_fault_leave_nothing_behind on OUTAGES,
}

/// How often everything is done under a fault that nobody is to notice.
const QUIET_ROUNDS: u32 = 4;
/// How often everything is done as a fault of a moment comes.
const AT_A_STRIKE: usize = 3;
/// What a fault of a moment must have met in the end.
const TO_BE_MET: [&str; 4] = ["insert", "claim", "settle", "cancel"];

/// One of each kind of operation, at the same time where the fault lasts; each ends as the fault permits, in
/// bounded time. Afterwards it is done again on the same handle, and comes out as if it had been done once.
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
            let rounds = if fault.is_ridden_through() { QUIET_ROUNDS } else { 1 };
            for _ in 0..rounds {
                let acts = one_of_each(kit).await?;
                let broken = kit.inject(&[]).await?;
                let answers = answers(start(kit, &acts)).await?;
                broken.mend().await?;
                judge_and_finish(kit, &acts, &answers).await?;
            }
        }
        Manner::Moment => do_each_as_it_comes(kit).await?,
    }
    kit.works_again().await
}

/// As often as it takes for the fault to have met the operations that matter most.
async fn do_each_as_it_comes(kit: &Kit) -> CaseResult {
    let (mut met, mut strikes) = (BTreeSet::new(), Strikes::default());
    for _ in 0..MOST_STRIKES {
        let sets = some_of_each(kit, AT_A_STRIKE).await?;
        let work = sets.iter().map(|acts| async { answers(start(kit, acts)).await }).collect();
        for (acts, answers) in sets.iter().zip(strikes.strike(kit, work).await?) {
            judge_and_finish(kit, acts, &answers).await?;
            let failed = acts.iter().zip(&answers).filter(|(_, answer)| answer.is_err());
            met.extend(failed.map(|(act, _)| act.name()));
        }
        if TO_BE_MET.iter().all(|name| met.contains(name)) {
            return Ok(());
        }
    }
    bail!("it came {MOST_STRIKES} times, and met only {met:?}")
}

type Started = Vec<JoinHandle<anyhow::Result<Result<Answer>>>>;

/// All at the same time, on one handle.
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
        answers
            .push(in_time("all operations to be answered", task).await?.context("an operation panicked")??);
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

/// Each is dropped after a few of its polls. Whatever came of it, it can be done again afterwards, and as many
/// requests as ever are served at the same time.
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
            // What was dropped is under way all the same, where it had begun.
            None => kit.inject(&[]).await?,
        };
        broken.mend().await?;
        for (act, answer) in acts.iter().zip(answers) {
            // A future that was dropped is of unknown outcome.
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
        match in_time("many requests at once to be served", worker).await? {
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
