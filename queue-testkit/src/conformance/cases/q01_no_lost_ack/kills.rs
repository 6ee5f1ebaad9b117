//! Q1, Q2, Q5, Q16: what a process that enqueues had acknowledged, and what it had not, when it is killed.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::JobId;
use queue_core::backend::InsertRequest;

use crate::child::Line;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::crew::Crew;
use crate::conformance::crash::enqueue::Jobs;
use crate::conformance::history::event::{Answered, Asked, Event};
use crate::conformance::history::log::Log;
use crate::conformance::kit::Kit;

cases! {
    Crash q01_a_killed_enqueuer_takes_no_acknowledged_job_with_it [Durable, MultiProcess, Children],
    Crash q02_what_a_killed_process_had_not_sent_does_not_exist [Durable, MultiProcess, Children],
    Crash q05_a_batch_whose_sender_is_killed_is_there_whole_or_not_at_all [Durable, MultiProcess, Children],
    Crash q16_a_batch_that_is_sent_again_after_a_kill_makes_each_job_once [Durable, MultiProcess, Children],
}

/// The batches that a process sent, and whether each was acknowledged.
fn batches(lines: &[Line]) -> Vec<(Vec<JobId>, bool)> {
    let mut sent = Vec::new();
    for operation in &Log::of(lines).operations {
        if let Asked::Insert { batches, .. } = &operation.asked {
            let is_stored = matches!(
                operation.answered(),
                Some(Answered::Inserted { batches, .. }) if batches[0].is_ok()
            );
            let ids = batches.iter().map(|batch| batch.iter().map(|job| job.id).collect());
            sent.extend(ids.map(|batch| (batch, is_stored)));
        }
    }
    sent
}

/// Before an insert, while it is under way, and right after its answer: the jobs of every answer are there.
async fn q01_a_killed_enqueuer_takes_no_acknowledged_job_with_it(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let mut acknowledged = 0;
    for point in ["before insert", "insert sent", "insert answered"] {
        for nth in 1..=3 {
            let child = crew.start_halting(crew.enqueuer(7, 100), point, nth).await?;
            let sent = batches(&crew.kill(child).await?);
            let stored: BTreeSet<JobId> = kit.stored().await?.jobs.into_iter().collect();
            for (batch, _) in sent.iter().filter(|batch| batch.1) {
                ensure!(
                    batch.iter().all(|job| stored.contains(job)),
                    "{point}, {nth}: {batch:?} is not there"
                );
                acknowledged += 1;
            }
        }
    }
    ensure_eq!(acknowledged, 3 + 3 + 6, "batches that were acknowledged");
    crew.drain().await?;
    crew.check().await?;
    Ok(())
}

/// The process has the jobs at hand, and is killed before it sends them.
async fn q02_what_a_killed_process_had_not_sent_does_not_exist(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let mut expected = 0;
    for nth in 1..=4 {
        let child = crew.start_halting(crew.enqueuer(5, 100), "before insert", nth).await?;
        crew.kill(child).await?;
        expected += 5 * (nth as usize - 1);
        ensure_eq!(kit.stored().await?.jobs.len(), expected, "jobs after {nth} processes");
    }
    crew.drain().await?;
    crew.check().await?;
    Ok(())
}

/// Large batches, and a kill at any moment after one was sent.
async fn q05_a_batch_whose_sender_is_killed_is_there_whole_or_not_at_all(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let mut chance = fastrand::Rng::with_seed(kit.seed());
    while crew.kills.are_wanted(20) {
        let mut child = crew.start(crew.enqueuer(150, 100))?;
        for _ in 0..chance.u32(1..4) {
            child.child.until(Event::asks_to_insert).await?;
        }
        tokio::time::sleep(Duration::from_micros(chance.u64(..10_000))).await;
        crew.kill(child).await?;
    }
    crew.kills.found_enough()?;
    crew.drain().await?;
    crew.check().await?;
    Ok(())
}

/// Nobody knows whether the batch was stored: whoever has its ids sends it again.
async fn q16_a_batch_that_is_sent_again_after_a_kill_makes_each_job_once(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let backend = kit.backend()?;
    for round in 0..5 {
        for point in ["before insert", "insert sent", "insert answered"] {
            let orders = crew.enqueuer(9, 100);
            let batch = orders.next_batch(&mut Jobs::new(orders.number), kit.now())?;
            let child = crew.start_halting(orders, point, 1).await?;
            crew.kill(child).await?;
            let answers = backend.insert(InsertRequest::new(vec![batch]).at(kit.now())).await?.batches;
            let answer = answers.into_iter().next().context("one batch was answered with none")??;
            let new = answer.iter().filter(|job| job.is_new()).count();
            let expected: &[usize] = match point {
                "before insert" => &[9],
                "insert sent" => &[0, 9],
                _ => &[0],
            };
            ensure!(expected.contains(&new), "round {round}, {point}: {new} of 9 jobs are new");
        }
    }
    ensure_eq!(kit.stored().await?.jobs.len(), 5 * 3 * 9, "jobs");
    crew.drain().await?;
    crew.check().await?;
    Ok(())
}
