//! Q1: processes that are killed lose no acknowledged job.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::JobId;
use tokio::time::timeout;

use crate::child::Line;
use crate::conformance::audit::check_rows;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::actor::Role;
use crate::conformance::crash::crew::{ChildProcess, Crew};
use crate::conformance::crash::run::{self, Upkeep};
use crate::conformance::crash::work::Verdicts;
use crate::conformance::history::event::{Answered, Asked, Event};
use crate::conformance::history::log::Log;
use crate::conformance::kit::Kit;
use crate::conformance::session::EXPIRY;

cases! {
    Crash q01_a_killed_enqueuer_takes_no_acknowledged_job_with_it [Durable, MultiProcess, Children],
    Crash q01_what_a_killed_process_acknowledged_is_there_for_the_next [Durable, Children],
    Crash q01_random_kills_of_whole_programs_lose_and_double_nothing [Durable, MultiProcess, Children],
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

/// A process is killed before an insert, during it, and right after its reply. Each job of an
/// acknowledged batch must be stored.
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
                    "{point}, {nth}: a job of the acknowledged batch {batch:?} is not stored"
                );
                acknowledged += 1;
            }
        }
    }
    ensure_eq!(acknowledged, 3 + 3 + 6, "the number of acknowledged batches");
    crew.drain().await?;
    crew.check().await?;
    Ok(())
}

/// Processes use the storage one after another, and no two at a time. Each is killed before a
/// write, during it, or right after its reply. The next one must find each acknowledged insert,
/// claim and settle. The history check proves it.
async fn q01_what_a_killed_process_acknowledged_is_there_for_the_next(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    for nth in 1..=3 {
        for (operation, works) in [("insert", false), ("claim", true), ("settle", true)] {
            for moment in ["before", "sent", "answered"] {
                let point = match moment {
                    "before" => format!("before {operation}"),
                    _ => format!("{operation} {moment}"),
                };
                // Enough jobs for the workers that follow.
                let role: Role = if works {
                    crew.worker(2, Verdicts::Mixed(u64::from(nth))).into()
                } else {
                    crew.enqueuer(12, 100).into()
                };
                kit.close();
                let child = crew.start_halting(role, &point, nth).await?;
                crew.kill(child).await?;
                kit.reopen().await?;
                let stored = kit.stored().await?;
                check_rows(&stored, &BTreeMap::new())
                    .with_context(|| format!("after kill {nth} at {point}"))?;
                // Otherwise the jobs of the killed process stay with it.
                kit.advance(EXPIRY);
                kit.rescue(1000).await?;
            }
        }
    }
    crew.drain().await?;
    crew.check().await?;
    Ok(())
}

/// The fewest kills of processes that run the runtime.
const PROGRAMS: u32 = 60;

/// A process that has started no job for this long gets more jobs.
const IDLE_LIMIT: Duration = Duration::from_millis(500);

/// Three processes run the runtime on the real clock, with handlers that complete, fail, snooze or
/// run long. Each process is killed while it runs jobs. The remaining workers must rescue its jobs
/// without help.
async fn q01_random_kills_of_whole_programs_lose_and_double_nothing(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let mut chance = fastrand::Rng::with_seed(kit.seed());
    let payloads = ["slow", "well", "slow", "fail once", "snooze", "slow", "bury", "slow", "refuse", "slow"];
    let orders = run::Orders { slots: 4, upkeep: Upkeep::Often };
    let mut enqueued = 0;
    let mut hands = Vec::new();
    for _ in 0..3 {
        hands.push(crew.start(orders.clone())?);
    }
    while crew.kills.are_wanted(PROGRAMS) {
        let batch: Vec<&str> = payloads.iter().copied().cycle().take(60).collect();
        enqueued += crew.enqueue(&batch).await?.len();
        let mut victim = hands.remove(chance.usize(..3));
        for _ in 0..chance.u32(1..12) {
            while !has_started_one(&mut victim).await? {
                // The other processes have claimed all jobs.
                enqueued += crew.enqueue(&batch).await?.len();
            }
        }
        tokio::time::sleep(Duration::from_micros(chance.u64(..4000))).await;
        crew.kill(victim).await?;
        hands.push(crew.start(orders.clone())?);
    }
    let kills = crew.kills;
    for hand in hands {
        crew.kill(hand).await?;
    }
    crew.run_dry().await?;
    let stored = crew.check().await?;
    ensure_eq!(stored.outcomes.len(), enqueued, "the number of jobs with an outcome");
    kills.found_enough()
}

/// Whether the process starts a job within a short time.
async fn has_started_one(hand: &mut ChildProcess) -> anyhow::Result<bool> {
    let starts = |text: &str| matches!(Event::read(text), Some(Event::Started { .. }));
    match timeout(IDLE_LIMIT, hand.child.until(starts)).await {
        Ok(line) => line.map(|_| true).map_err(Into::into),
        Err(_) => Ok(false),
    }
}
