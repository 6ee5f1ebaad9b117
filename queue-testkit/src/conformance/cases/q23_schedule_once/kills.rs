//! Q23: processes that fire are killed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use queue_core::backend::{ListRequest, ScheduleChange};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::crew::Crew;
use crate::conformance::crash::fire::{self, INTERVAL, fire_some, fired, payload};
use crate::conformance::crash::messages::IDLE;
use crate::conformance::crash::work::{beat_line, time_line};
use crate::conformance::kit::Kit;
use crate::conformance::session::schedules;

cases! {
    Crash q23_a_fire_cut_by_a_kill_happened_wholly_or_not_at_all [Schedules, Durable, MultiProcess, Children],
    Crash q23_random_kills_of_firing_processes_fire_each_slot_once [Schedules, Durable, MultiProcess, Children],
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A process is killed as it fires: before, during and after the request. Each schedule must have
/// one job for each slot that it counts, and none for another.
async fn q23_a_fire_cut_by_a_kill_happened_wholly_or_not_at_all(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    create(kit).await?;
    for point in ["before change", "change sent", "change answered"] {
        for nth in 1..=3 {
            kit.advance(INTERVAL * 3);
            let child = crew.start_halting(fire::Orders { now: kit.now().into() }, point, nth).await?;
            crew.let_execute(point).await?;
            crew.kill(child).await?;
            each_slot_has_one_job(kit).await.with_context(|| format!("{point}, {nth}"))?;
        }
    }
    finish(kit, &mut crew).await
}

/// Three processes fire the same schedules, and are killed at random. In the end each slot must
/// have fired once.
async fn q23_random_kills_of_firing_processes_fire_each_slot_once(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let mut chance = fastrand::Rng::with_seed(kit.seed());
    create(kit).await?;
    let mut hands = Vec::new();
    for _ in 0..3 {
        hands.push(crew.start(fire::Orders { now: kit.now().into() })?);
    }
    while crew.kills.are_wanted(20) {
        let now = kit.advance(INTERVAL * 20);
        for hand in &mut hands {
            hand.child.tell(&time_line(now))?;
        }
        let mut victim = hands.remove(chance.usize(..hands.len()));
        victim.child.until(|text| text == beat_line(now)).await?;
        for _ in 0..chance.u32(2..12) {
            if victim.child.until(|_| true).await?.text == IDLE {
                break;
            }
        }
        tokio::time::sleep(Duration::from_micros(chance.u64(..1000))).await;
        crew.kill(victim).await?;
        hands.push(crew.start(fire::Orders { now: now.into() })?);
    }
    let kills = crew.kills;
    for hand in hands {
        crew.kill(hand).await?;
    }
    finish(kit, &mut crew).await?;
    kills.found_enough()
}

async fn create(kit: &Kit) -> CaseResult {
    for name in NAMES {
        kit.change(ScheduleChange::create(fire::new_schedule(name, kit.now())?)).await?;
    }
    Ok(())
}

/// Fires what is left, and checks all.
async fn finish(kit: &Kit, crew: &mut Crew<'_>) -> CaseResult {
    let backend = kit.backend()?;
    while fire_some(schedules(&*backend)?, kit.now()).await? {}
    each_slot_has_one_job(kit).await?;
    crew.drain().await?;
    crew.check().await?;
    Ok(())
}

/// Compares the jobs with the number of slots that each schedule counts.
async fn each_slot_has_one_job(kit: &Kit) -> CaseResult {
    let mut expected: BTreeMap<String, u32> = BTreeMap::new();
    for name in NAMES {
        let schedule = kit.schedule(name).await?.context("a schedule has vanished")?;
        expected.extend((1..=fired(&schedule)?).map(|slot| (payload(name, slot), 1)));
    }
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    let backend = kit.backend()?;
    let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    let mut after = None;
    loop {
        let mut request = ListRequest::new(1000);
        request.after = after;
        let page = inspect.list(request).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.job.id);
        for record in &page {
            *found.entry(record.job.payload.as_str().to_owned()).or_default() += 1;
        }
    }
    ensure_eq!(found, expected, "the number of jobs of each slot");
    Ok(())
}
