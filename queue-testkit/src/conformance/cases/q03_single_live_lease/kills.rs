//! Q3: processes enqueue and work concurrently, and are killed at random.

use std::time::Duration;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::crash::crew::{ChildProcess, Crew};
use crate::conformance::crash::messages::IDLE;
use crate::conformance::crash::work::{self, Verdicts};
use crate::conformance::kit::Kit;
use crate::conformance::session::EXPIRY;

cases! {
    Crash q03_random_kills_give_no_job_two_leases [Durable, MultiProcess, Children],
}

/// The fewest kills of processes that call the backend without the runtime.
const ROUNDS: u32 = 120;

/// Three processes claim and settle, and two enqueue. In each round the clock advances, then one
/// process is killed at a random moment. Only killed processes miss heartbeats, so no live worker
/// may lose a lease.
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
        // Workers are killed more often than enqueuers, because only workers hold leases.
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
    let kills = crew.kills;
    for hand in hands {
        crew.kill(hand).await?;
    }
    crew.drain().await?;
    crew.check().await?;
    kills.found_enough()
}

/// Starts a worker for the first three places, an enqueuer for the other two.
fn fill(crew: &mut Crew<'_>, place: usize, chance: &mut fastrand::Rng) -> anyhow::Result<ChildProcess> {
    if place < 3 {
        let verdicts = Verdicts::Mixed(chance.u64(..));
        crew.start(crew.worker(6, verdicts))
    } else {
        crew.start(crew.enqueuer(8, 3))
    }
}

/// Kills a process after a random number of lines and a short delay, or as soon as it is idle.
async fn kill_at_random(
    crew: &mut Crew<'_>,
    mut victim: ChildProcess,
    chance: &mut fastrand::Rng,
) -> CaseResult {
    for _ in 0..chance.u32(1..16) {
        if victim.child.until(|_| true).await?.text == IDLE {
            break;
        }
    }
    tokio::time::sleep(Duration::from_micros(chance.u64(..1500))).await;
    crew.kill(victim).await?;
    Ok(())
}
