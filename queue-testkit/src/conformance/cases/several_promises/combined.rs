//! States that only come together rarely: a cancel beside a promotion, a pause beside a name that
//! begins alike, a limit over two states.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{
    CancelRequest, HeartbeatRequest, JobEnd, ListRequest, MaintainRequest, ProgressReport, Prune,
    RetireRequest, Wakes,
};
use queue_core::{ErrorKind, JobId, JobState, Progress, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, bury, complete, complete_with, queue, retry};
use crate::conformance::wakes::announced;

cases! {
    Fast q01_each_of_two_hundred_batches_of_a_request_is_stored,
    Fast q04_progress_of_a_lost_worker_is_not_stored,
    Fast q08_the_limit_of_pruning_counts_jobs_of_all_states,
    Fast q09_a_signal_outlives_the_promotion_of_other_jobs,
    Fast q09_a_signal_outlives_the_promotion_of_its_job,
    Fast q09_a_signal_outlives_a_watch [Watch],
    Fast q10_the_end_of_a_watched_job_that_waits_is_announced [Watch],
    Fast q10_the_end_of_a_job_has_its_last_error_and_its_whole_result [Watch],
    Fast q12_a_retirement_of_an_unknown_worker_leaves_its_id_free,
    Fast q15_pruning_keeps_the_keys_of_unfinished_jobs [UniqueKeys],
    Fast q15_the_key_of_a_running_job_outlives_the_handle [UniqueKeys, Durable],
    Fast q17_a_pause_holds_for_its_queue_only [Manage],
    Fast q17_a_handle_opened_during_a_pause_sees_its_end [Manage, MultiProcess],
    Fast q20_a_list_has_jobs_with_long_results_and_keys [UniqueKeys],
    Fast q20_a_list_continues_after_an_id_that_does_not_exist,
    Fast q20_a_job_that_dies_by_a_rescue_has_its_last_error,
}

async fn q01_each_of_two_hundred_batches_of_a_request_is_stored(kit: &Kit) -> CaseResult {
    let batches = (0..200).map(|_| vec![kit.spec("job")]).collect();
    let mut ids = Vec::new();
    for result in kit.insert_batches(batches).await? {
        ids.extend(result?.iter().map(|job| job.id));
    }
    ids.sort();
    ensure_eq!(kit.stored().await?.jobs, ids, "the jobs of all batches");
    Ok(())
}

/// A worker with two leases is lost by a rescue that ends one of them. It then reports progress for
/// the other. The heartbeat must fail and store nothing.
async fn q04_progress_of_a_lost_worker_is_not_stored(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert(vec![kit.spec("job"), kit.spec("job")]).await?;
    let leases = kit.claim(worker, 2).await?;
    kit.advance(EXPIRY);
    kit.rescue(1).await?;
    for lease in leases {
        let mut request = HeartbeatRequest::new(worker).at(kit.now());
        request.progress.push(ProgressReport::new(lease.token, Progress { done: 1, total: 2 }));
        fails_with(kit.backend()?.heartbeat(request).await, ErrorKind::WorkerLost)?;
        ensure_eq!(kit.record(lease.token.job).await?.progress, None, "the progress of {}", lease.token.job);
    }
    Ok(())
}

/// Two jobs of each finished state are old. A prune with a limit of three must remove three.
async fn q08_the_limit_of_pruning_counts_jobs_of_all_states(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for _ in 0..2 {
        let id = kit.insert_one(kit.spec("job")).await?;
        kit.cancel(id).await?;
        for verdict in [complete(), bury("hopeless")] {
            kit.insert_one(kit.spec("job")).await?;
            kit.settle_one(kit.claim_one(worker).await?.token, verdict).await?;
        }
    }
    kit.advance(EXPIRY);
    let zero = Duration::ZERO;
    let prune = Prune::default().completed(zero).cancelled(zero).dead(zero).idempotency_window(zero).limit(3);
    for expected in [3, 3, 0] {
        ensure_eq!(kit.prune(prune.clone()).await?.pruned, expected, "the number of jobs pruned");
    }
    Ok(())
}

/// The cancels that a heartbeat reports.
async fn cancels(kit: &Kit, worker: WorkerId) -> anyhow::Result<Vec<JobId>> {
    Ok(kit.heartbeat(worker).await?.cancels.into_iter().collect())
}

/// A running job is signalled. Then another job becomes due, and upkeep promotes it.
async fn q09_a_signal_outlives_the_promotion_of_other_jobs(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(worker).await?;
    kit.cancel_running(id).await?;
    kit.insert_one(kit.spec("job").run_at(kit.now().saturating_add(Duration::from_secs(1)))).await?;
    kit.advance(Duration::from_secs(1));
    kit.promote(9).await?;
    ensure_eq!(cancels(kit, worker).await?, [id], "the cancels after a promotion");
    kit.maintain(MaintainRequest::rescue(9)).await?;
    ensure_eq!(cancels(kit, worker).await?, [id], "the cancels after a rescue");
    Ok(())
}

/// A job is signalled, fails, waits for its retry, and is promoted by upkeep. Its next worker must
/// get the signal.
async fn q09_a_signal_outlives_the_promotion_of_its_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.cancel_running(id).await?;
    kit.settle_one(token, retry("failed", 5)).await?;
    kit.advance(Duration::from_secs(5));
    kit.promote(9).await?;
    let next = kit.worker().await?;
    kit.claim_one(next).await?;
    ensure_eq!(cancels(kit, next).await?, [id], "the cancels of the next worker");
    Ok(())
}

async fn q09_a_signal_outlives_a_watch(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(worker).await?;
    kit.cancel_running(id).await?;
    ensure_eq!(kit.watch(&[id]).await?, [None], "how the running job ended");
    ensure_eq!(cancels(kit, worker).await?, [id], "the cancels after a watch");
    Ok(())
}

/// A scheduled, a retrying and a ready job are watched and cancelled, each alone. Each end must be
/// announced.
async fn q10_the_end_of_a_watched_job_that_waits_is_announced(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let later = kit.now().saturating_add(EXPIRY);
    let retrying = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, retry("failed", 60)).await?;
    let scheduled = kit.insert_one(kit.spec("job").run_at(later)).await?;
    let ready = kit.insert_one(kit.spec("job")).await?;
    let mut receiver = kit.backend()?.subscribe();
    for id in [retrying, scheduled, ready] {
        kit.watch(&[id]).await?;
        kit.backend()?.cancel(CancelRequest::new(vec![id]).at(kit.now())).await?;
        let has_it = |wakes: &Wakes| wakes.finished.contains(&id) || wakes.more_finished;
        announced(&mut receiver, has_it).await.context("the end of a cancelled job")?;
    }
    Ok(())
}

/// A job fails twice, with other errors, and is then dead. Another has a result of 200 KiB.
async fn q10_the_end_of_a_job_has_its_last_error_and_its_whole_result(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let dead = kit.insert_one(kit.spec("job").max_retries(1)).await?;
    for error in ["first", "last"] {
        kit.settle_one(kit.claim_one(worker).await?.token, retry(error, 0)).await?;
    }
    let result = format!("\"{}\"", "x".repeat(200 << 10)).into_bytes();
    let completed = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, complete_with(&result)).await?;
    let expected =
        [Some(JobEnd::Dead { error: "last".to_owned() }), Some(JobEnd::Completed { result: Some(result) })];
    ensure_eq!(kit.watch(&[dead, completed]).await?, expected, "how the jobs ended");
    Ok(())
}

async fn q12_a_retirement_of_an_unknown_worker_leaves_its_id_free(kit: &Kit) -> CaseResult {
    let worker = kit.new_worker_id();
    kit.backend()?.retire(RetireRequest::new(worker)).await?;
    kit.try_register(worker).await?.context("a registration after a retirement of an unknown id")?;
    kit.heartbeat(worker).await?;
    Ok(())
}

/// Jobs with keys are scheduled, ready and running while everything is pruned. Each must still hold
/// its key.
async fn q15_pruning_keeps_the_keys_of_unfinished_jobs(kit: &Kit) -> CaseResult {
    let later = kit.now().saturating_add(EXPIRY * 9);
    let specs = [
        kit.spec("job").unique("running"),
        kit.spec("job").unique("ready"),
        kit.spec("job").unique("scheduled").run_at(later),
    ];
    for spec in specs.clone() {
        kit.insert_one(spec).await?;
    }
    kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    let zero = Duration::ZERO;
    kit.prune(Prune::default().completed(zero).cancelled(zero).dead(zero).idempotency_window(zero)).await?;
    for key in ["running", "ready", "scheduled"] {
        let again = kit.try_insert(vec![kit.spec("job").unique(key)]).await??;
        ensure!(!again[0].is_new(), "the key of a {key} job is free after a prune");
    }
    Ok(())
}

async fn q15_the_key_of_a_running_job_outlives_the_handle(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job").unique("key")).await?;
    kit.claim_one(kit.worker().await?).await?;
    kit.reopen().await?;
    let again = kit.try_insert(vec![kit.spec("job").unique("key")]).await??;
    ensure_eq!((again[0].id, again[0].is_new()), (id, false), "the holder of the key");
    Ok(())
}

/// A queue is paused whose name begins other names, and ends them. Their jobs must be claimed.
async fn q17_a_pause_holds_for_its_queue_only(kit: &Kit) -> CaseResult {
    let (backend, worker) = (kit.backend()?, kit.worker().await?);
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    for name in ["mail", "mail-2", "mai", "e-mail", "Mail"] {
        kit.insert_one(kit.spec("job").queue(name)).await?;
    }
    manage.pause(&queue("mail")?).await?;
    for name in ["mail-2", "mai", "e-mail", "Mail"] {
        let claimed = kit.claiming(worker, 1).queue(name).take().await?.jobs;
        ensure_eq!(claimed.len(), 1, "the number of jobs claimed from {name}");
    }
    ensure_eq!(kit.claiming(worker, 1).queue("mail").take().await?.jobs, [], "the jobs of the paused queue");
    Ok(())
}

/// A handle is opened while a queue is paused, and another one resumes it. The first must claim.
async fn q17_a_handle_opened_during_a_pause_sees_its_end(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    let default = queue("default")?;
    let id = kit.insert_one(kit.spec("job")).await?;
    manage.pause(&default).await?;
    let other = kit.open_second().await?;
    let worker = other.worker().await?;
    ensure_eq!(other.claim(worker, 1).await?, [], "the jobs of the paused queue");
    manage.resume(&default).await?;
    ensure_eq!(other.claim_one(worker).await?.token.job, id, "the job claimed after the resume");
    Ok(())
}

/// A completed job has a long result, and another job a key. A list must have both, whole.
async fn q20_a_list_has_jobs_with_long_results_and_keys(kit: &Kit) -> CaseResult {
    let result = format!("\"{}\"", "x".repeat(100 << 10)).into_bytes();
    kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, complete_with(&result)).await?;
    let spec = kit.spec("job").unique_for("key", EXPIRY);
    let unique = spec.clone().build()?.unique;
    kit.insert_one(spec).await?;
    let backend = kit.backend()?;
    let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    let listed = inspect.list(ListRequest::new(9)).await?;
    ensure_eq!(listed.len(), 2, "the number of listed jobs");
    ensure_eq!(listed[0].result.as_ref(), Some(&result), "the result of the first");
    ensure_eq!(listed[1].job.unique, unique, "the unique key of the second");
    Ok(())
}

async fn q20_a_list_continues_after_an_id_that_does_not_exist(kit: &Kit) -> CaseResult {
    let first = kit.insert_one(kit.spec("job")).await?;
    let between = kit.id_at(kit.now());
    let second = kit.insert_one(kit.spec("job")).await?;
    let backend = kit.backend()?;
    let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    for (after, expected) in [(first, vec![second]), (between, vec![second]), (second, vec![])] {
        let mut request = ListRequest::new(9);
        request.after = Some(after);
        let listed: Vec<JobId> = inspect.list(request).await?.iter().map(|record| record.job.id).collect();
        ensure_eq!(listed, expected, "the jobs after {after}");
    }
    Ok(())
}

/// A job fails once, and is lost on its last attempt. Its error must be that of the last one.
async fn q20_a_job_that_dies_by_a_rescue_has_its_last_error(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job").max_retries(1)).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, retry("first", 0)).await?;
    kit.claim_one(worker).await?;
    kit.advance(EXPIRY);
    kit.rescue(9).await?;
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.errors.len()), (JobState::Dead, 2), "the state and number of errors");
    ensure_eq!(record.error.as_ref(), Some(&record.errors[1].error), "the error of the dead job");
    Ok(())
}
