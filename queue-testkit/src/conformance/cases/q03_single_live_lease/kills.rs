//! Q3, Q1: processes that enqueue and work all at once, and are killed as chance has it.

use std::time::Duration;

use tokio::time::timeout;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::crew::{Crew, Hand};
use crate::conformance::crash::messages::IDLE;
use crate::conformance::crash::run::{self, Upkeep};
use crate::conformance::crash::work::{self, Verdicts};
use crate::conformance::history::event::Event;
use crate::conformance::kit::Kit;
use crate::conformance::session::EXPIRY;

cases! {
    Crash q03_random_kills_give_no_job_two_leases [Durable, MultiProcess, Children],
    Crash q01_random_kills_of_whole_programs_lose_and_double_nothing [Durable, MultiProcess, Children],
}

/// The fewest kills of processes that work by hand.
const ROUNDS: u32 = 120;
/// The fewest kills of processes that run the real runtime.
const PROGRAMS: u32 = 60;

/// After how long without a start a process gets more jobs.
const HUNGRY: Duration = Duration::from_millis(500);

/// Three processes claim and settle, two enqueue; one of them is killed at a time, some lines or a moment after
/// the time moved on. Only those that were killed are ever late, so none that lives may lose anything.
async fn q03_random_kills_give_no_job_two_leases(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let mut chance = fastrand::Rng::with_seed(kit.seed());
    let keeper = kit.handle();
    let mut hands = Vec::new();
    for place in 0..5 {
        hands.push(fill(&mut crew, place, &mut chance)?);
    }
    while crew.kills.are_wanted(ROUNDS) {
        let now = kit.advance(EXPIRY / 5);
        for hand in &mut hands {
            hand.child.tell(&work::time_line(now))?;
        }
        // Workers more often than enqueuers: they have more to lose.
        let place = [0, 0, 1, 1, 2, 2, 3, 4][chance.usize(..8)];
        let victim = hands.remove(place);
        let killing = kill_at_random(&mut crew, victim, &mut chance);
        killing.await?;
        for worker in hands.iter_mut().take(if place < 3 { 2 } else { 3 }) {
            worker.child.until(|text| text == work::beat_line(now)).await?;
        }
        keeper.rescue(1000).await?;
        hands.insert(place, fill(&mut crew, place, &mut chance)?);
    }
    crew.kills.found_enough()?;
    for hand in hands {
        crew.kill(hand).await?;
    }
    crew.drain().await?;
    crew.check().await?;
    Ok(())
}

/// The first three places are those of workers.
fn fill(crew: &mut Crew<'_>, place: usize, chance: &mut fastrand::Rng) -> anyhow::Result<Hand> {
    if place < 3 {
        let verdicts = Verdicts::Mixed(chance.u64(..));
        crew.start(crew.worker(6, verdicts))
    } else {
        crew.start(crew.enqueuer(8, 3))
    }
}

/// After some more lines, and a moment longer; or as soon as there is nothing left for it to do.
async fn kill_at_random(crew: &mut Crew<'_>, mut victim: Hand, chance: &mut fastrand::Rng) -> CaseResult {
    for _ in 0..chance.u32(1..16) {
        if victim.child.until(|_| true).await?.text == IDLE {
            break;
        }
    }
    tokio::time::sleep(Duration::from_micros(chance.u64(..1500))).await;
    crew.kill(victim).await?;
    Ok(())
}

/// Three workers of the real runtime, at the backend's own time, whose handlers end well, fail, pause, take
/// their time: each is killed in the middle of its jobs, and the others notice by themselves.
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
                // The others have taken everything.
                enqueued += crew.enqueue(&batch).await?.len();
            }
        }
        tokio::time::sleep(Duration::from_micros(chance.u64(..4000))).await;
        crew.kill(victim).await?;
        hands.push(crew.start(orders.clone())?);
    }
    crew.kills.found_enough()?;
    for hand in hands {
        crew.kill(hand).await?;
    }
    crew.run_dry().await?;
    let stored = crew.check().await?;
    ensure_eq!(stored.outcomes.len(), enqueued, "jobs that have ended");
    Ok(())
}

/// Whether the process starts a job within a short time.
async fn has_started_one(hand: &mut Hand) -> anyhow::Result<bool> {
    let starts = |text: &str| matches!(Event::read(text), Some(Event::Started { .. }));
    match timeout(HUNGRY, hand.child.until(starts)).await {
        Ok(line) => line.map(|_| true).map_err(Into::into),
        Err(_) => Ok(false),
    }
}
