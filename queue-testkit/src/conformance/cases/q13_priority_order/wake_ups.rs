//! Q13: workers are woken for each job that becomes ready, after it did.

use std::time::Duration;

use anyhow::Context as _;
use queue_core::backend::{InsertRequest, WakeReceiver, Wakes};
use queue_core::testing::drop_after;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::wakes::announced;

cases! {
    Fast q13_each_batch_of_a_request_wakes,
    Fast q13_each_receiver_is_woken,
    Fast q13_a_promotion_wakes,
    Fast q13_what_a_claim_promoted_and_left_wakes,
    Fast q13_a_dropped_insert_that_stored_its_jobs_wakes,
}

const MINUTE: Duration = Duration::from_secs(60);

/// Fails unless wake-ups name ready jobs of all these priorities.
async fn is_woken(receiver: &mut WakeReceiver, priorities: &[i16], after: &str) -> CaseResult {
    let names = |wakes: &Wakes, priority| {
        wakes.ready.iter().any(|hint| hint.priority == priority && hint.due_in.is_zero())
    };
    let wakes = announced(receiver, |wakes| priorities.iter().all(|priority| names(wakes, *priority))).await;
    wakes.map(drop).with_context(|| format!("no wake-ups name the priorities {priorities:?} after {after}"))
}

/// One request has three batches of different priorities, of which the second is refused. Each
/// stored batch must wake.
async fn q13_each_batch_of_a_request_wakes(kit: &Kit) -> CaseResult {
    let stored = kit.spec("job").priority(1);
    kit.insert_one(stored.clone()).await?;
    let mut receiver = kit.backend()?.subscribe();
    let batches = vec![
        vec![kit.spec("job").priority(2)],
        vec![stored.payload("[\"other\"]"), kit.spec("job").priority(3)],
        vec![kit.spec("job").priority(4), kit.spec("job").priority(5)],
    ];
    let results = kit.insert_batches(batches).await?;
    let are_stored: Vec<bool> = results.iter().map(Result::is_ok).collect();
    ensure_eq!(are_stored, [true, false, true], "whether each batch was stored");
    is_woken(&mut receiver, &[2, 4, 5], "the insert of three batches").await
}

/// Three receivers of one handle, and one of another handle. Each must be woken by each insert,
/// also after one of them was dropped.
async fn q13_each_receiver_is_woken(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let mut receivers = Vec::new();
    for handle in [&handles[0], &handles[0], &handles[1], &handles[0]] {
        receivers.push(handle.backend()?.subscribe());
    }
    for (round, priority) in (1_i16..).zip([3, 5, 7]) {
        handles[0].insert_one(kit.spec("job").priority(priority)).await?;
        for (number, receiver) in receivers.iter_mut().enumerate() {
            let after = format!("insert {round}, at receiver {number}");
            is_woken(receiver, &[priority], &after).await?;
        }
        receivers.remove(0);
    }
    Ok(())
}

/// Scheduled jobs of two priorities become due, and are promoted one by one. Workers must be woken
/// for both.
async fn q13_a_promotion_wakes(kit: &Kit) -> CaseResult {
    let soon = kit.now().saturating_add(MINUTE);
    kit.insert_one(kit.spec("job").priority(3).run_at(soon)).await?;
    kit.insert_one(kit.spec("job").priority(4).run_at(soon.saturating_add(MINUTE))).await?;
    kit.advance(MINUTE * 2);
    let mut receiver = kit.backend()?.subscribe();
    for _ in 0..2 {
        ensure_eq!(kit.promote(1).await?.promoted, 1, "the number of jobs promoted");
    }
    is_woken(&mut receiver, &[3, 4], "two promotions").await
}

/// Three scheduled jobs are due. A claim of one job promotes all, and takes one. Other workers must
/// be woken for the others: by this claim, or by the promotion of one that was left scheduled.
async fn q13_what_a_claim_promoted_and_left_wakes(kit: &Kit) -> CaseResult {
    let soon = kit.now().saturating_add(MINUTE);
    for priority in [9, 6, 3] {
        kit.insert_one(kit.spec("job").priority(priority).run_at(soon)).await?;
    }
    kit.set_clock(soon);
    let mut receiver = kit.backend()?.subscribe();
    let taken = kit.claim(kit.worker().await?, 1).await?;
    ensure_eq!(taken.len(), 1, "the number of claimed jobs");
    kit.promote(9).await?;
    is_woken(&mut receiver, &[6, 3], "a claim that took one of three due jobs").await
}

/// An insert is dropped at each poll. If it has stored its jobs nevertheless, workers must be woken
/// for them.
async fn q13_a_dropped_insert_that_stored_its_jobs_wakes(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    for polls in 0..40 {
        let priority = i16::try_from(polls)? + 100;
        let mut receiver = backend.subscribe();
        let spec = kit.spec("job").priority(priority).build()?;
        kit.knows_kind(&spec.kind);
        let insert = backend.insert(InsertRequest::new(vec![vec![spec.clone()]]).at(kit.now()));
        let is_answered = drop_after(polls, insert).await.is_some();
        if is_answered || kit.find(spec.id).await?.is_some() {
            let after = format!("an insert that was dropped after {polls} polls");
            is_woken(&mut receiver, &[priority], &after).await?;
        }
        if is_answered {
            return Ok(());
        }
    }
    Ok(())
}
