//! Q16: concurrent inserts of one id.

use std::sync::Arc;

use queue_core::ErrorKind;

use super::repeated_inserts::is_known;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::spec::Spec;

cases! {
    Race q16_the_same_batch_at_the_same_time_is_stored_once,
    Race q16_of_other_contents_for_one_id_the_first_wins,
}

/// Sixteen tasks over two handles insert the same batch. One insert must return new jobs, the
/// others known ones.
async fn q16_the_same_batch_at_the_same_time_is_stored_once(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..6 {
        let batch: Vec<Spec> = (0..20).map(|_| kit.spec("job")).collect();
        let enqueuer = |task: usize| {
            let (handle, mut batch) = (Arc::clone(&handles[task % 2]), batch.clone());
            // The batches differ in order, because a backend that locks rows in batch order would
            // deadlock.
            batch.rotate_left(task);
            async move { Ok(handle.try_insert(batch).await??) }
        };
        let answers = race((0..16).map(enqueuer).collect()).await?;
        let made = answers.iter().filter(|batch| batch.iter().all(|job| job.is_new())).count();
        let known = answers.iter().filter(|batch| is_known(batch)).count();
        ensure_eq!(
            (made, known),
            (1, 15),
            "round {round}, the numbers of inserts with new jobs and with known jobs"
        );
    }
    ensure_eq!(kit.stored().await?.jobs.len(), 120, "the number of stored jobs");
    Ok(())
}

/// Sixteen tasks insert one id with eight contents, each twice. One content must be stored. Inserts
/// of it must succeed, and the others must return `Conflict`.
async fn q16_of_other_contents_for_one_id_the_first_wins(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..8 {
        let id = kit.id_at(kit.now());
        let enqueuer = |task: usize| {
            let handle = Arc::clone(&handles[task % 2]);
            let spec = kit.spec("job").id(id).payload((task / 2).to_string());
            async move { handle.try_insert(vec![spec]).await }
        };
        let answers = race((0..16).map(enqueuer).collect()).await?;
        let winner: usize = kit.record(id).await?.job.payload.decode()?;
        let mut made = 0;
        for (task, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(answers) if task / 2 == winner => made += usize::from(answers[0].is_new()),
                Err(error) if task / 2 != winner => drop(fails_with::<()>(Err(error), ErrorKind::Conflict)?),
                answer => {
                    anyhow::bail!("round {round}: content {winner} is stored, but task {task} got {answer:?}")
                }
            }
        }
        ensure_eq!(made, 1, "round {round}, the number of inserts that returned a new job");
    }
    Ok(())
}
