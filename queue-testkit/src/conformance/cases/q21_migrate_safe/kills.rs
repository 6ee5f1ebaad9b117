//! Q21: a process is killed during a migration.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;

use crate::child::Line;
use crate::conformance::audit::check_rows;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::crash::actor::Role;
use crate::conformance::crash::crew::Crew;
use crate::conformance::crash::messages::{OPENED, OPENING};
use crate::conformance::kit::Kit;
use crate::conformance::pass::not_shown;

cases! {
    Crash q21_a_storage_whose_migration_was_killed_opens_and_works [Migrations, Durable, MultiProcess, Children],
}

/// The number of processes that must be killed during a migration.
const MIDWAY: u32 = 10;
const AT_MOST: u32 = 80;

/// A process opens a storage without a schema and is killed at a random moment. The next open must
/// succeed, and the storage must work.
async fn q21_a_storage_whose_migration_was_killed_opens_and_works(kit: &Kit) -> CaseResult {
    let mut chance = fastrand::Rng::with_seed(kit.seed());
    let mut crew = Crew::new(kit)?;
    let first = kit.storage_without_a_schema().await?;
    let mut child = crew.start_at(&*first, Role::Migrate)?;
    let from = child.child.until(|text| text == OPENING).await?.at;
    let to = child.child.until(|text| text == OPENED).await?.at;
    let mut span = to.saturating_sub(from);
    crew.dismiss(child).await?;
    while crew.kills.writing < MIDWAY {
        if crew.kills.killed >= AT_MOST {
            return Err(not_shown(format!("{MIDWAY} kills shall meet a migration: {}", crew.kills)));
        }
        let storage = kit.storage_without_a_schema().await?;
        let mut child = crew.start_at(&*storage, Role::Migrate)?;
        child.child.until(|text| text == OPENING).await?;
        // `std::thread::sleep` is used because it is precise below a millisecond.
        let moment = span.mul_f64(0.8 * chance.f64());
        std::thread::sleep(moment.min(Duration::from_secs(1)));
        let killed = crew.kill(child).await?;
        let session = kit.open_on(&*storage).await?;
        session.works().await.with_context(|| format!("after a kill {moment:?} into {span:?}"))?;
        check_rows(&session.stored().await?, &BTreeMap::new())
            .with_context(|| format!("after a kill at {moment:?}"))?;
        // The first open may be the slowest by far, so later opens shorten the span from which the
        // moment is drawn.
        span = opening(&killed).map_or(span, |shorter| shorter.min(span));
    }
    Ok(())
}

/// The time that a process needed to open its storage, if it finished.
fn opening(lines: &[Line]) -> Option<Duration> {
    let said = |text: &str| lines.iter().find(|line| line.text == text).map(|line| line.at);
    Some(said(OPENED)?.saturating_sub(said(OPENING)?))
}
