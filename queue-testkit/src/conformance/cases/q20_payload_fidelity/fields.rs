//! Q20: times, numbers, names and texts are returned as submitted.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{HeartbeatRequest, InsertRequest, LeasesRequest, ProgressReport, Settlement};
use queue_core::limits::{DEFAULT_MAX_ERROR_BYTES, MAX_ATTRIBUTES_BYTES};
use queue_core::{Attributes, Backoff, JobId, JobState, Kind, Progress, QueueName, Timestamp};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{TICK, bury, cancelled, complete, release, retry, snooze};

cases! {
    Fast q20_times_at_the_ends_of_the_range_come_back,
    Fast q20_numbers_at_the_ends_of_their_range_come_back,
    Fast q20_durations_come_back_to_the_microsecond,
    Fast q20_names_come_back_and_are_told_apart,
    Fast q20_ids_at_the_ends_of_their_range_are_jobs_like_others,
    Fast q20_attributes_come_back_byte_for_byte,
    Fast q20_texts_of_errors_come_back,
    Fast q20_durations_of_attempts_come_back,
    Fast q20_progress_comes_back,
    Fast q20_a_new_attempt_has_no_progress,
    Fast q20_each_of_many_errors_comes_back,
}

/// Extreme times are used for `run_at`, the submission, an error and the end. Each must be returned
/// to the microsecond.
async fn q20_times_at_the_ends_of_the_range_come_back(kit: &Kit) -> CaseResult {
    let odd = kit.now().saturating_add(Duration::from_micros(123_457));
    let times = [Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH.saturating_add(TICK), odd, Timestamp::MAX];
    for now in times {
        kit.set_clock(now);
        let worker = kit.worker().await?;
        for run_at in times {
            let id = kit.insert_one(kit.spec("job").run_at(run_at)).await?;
            let record = kit.record(id).await?;
            ensure_eq!((record.created_at, record.run_at), (now, run_at), "created_at and run_at, at {now}");
            ensure_eq!(record.job.run_at, Some(run_at), "the submitted run_at, at {now}");
            if run_at > now {
                kit.cancel(id).await?;
                continue;
            }
            let job = kit.claim_one(worker).await?;
            ensure_eq!((job.token.job, job.run_at), (id, run_at), "the claimed job and its run_at, at {now}");
            kit.settle_one(job.token, bury("hopeless")).await?;
            let record = kit.record(id).await?;
            ensure_eq!(
                (record.finished_at, record.errors[0].at),
                (Some(now), now),
                "finished_at and the time of the error, at {now}"
            );
        }
    }
    Ok(())
}

/// Jobs have extreme priorities and retries. The claim and the record must return them.
async fn q20_numbers_at_the_ends_of_their_range_come_back(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let numbers = [(i16::MAX, 0), (1, u16::MAX), (0, 1), (-1, u16::MAX - 1), (i16::MIN, u16::MAX)];
    for (priority, retries) in numbers {
        kit.insert_one(kit.spec("job").priority(priority).max_retries(retries)).await?;
    }
    for (job, numbers) in kit.claim(worker, 9).await?.into_iter().zip(numbers) {
        ensure_eq!((job.priority, job.max_retries), numbers, "the priority and max_retries in the claim");
        let record = kit.record(job.token.job).await?;
        ensure_eq!(
            (record.job.priority, record.job.max_retries),
            numbers,
            "the priority and max_retries in the record"
        );
        ensure_eq!(job.is_last_attempt(), numbers.1 == 0, "whether this attempt is the last");
        kit.settle_one(job.token, complete()).await?;
    }
    Ok(())
}

/// Timeouts and backoffs range from zero to the greatest count of microseconds. The claim and the
/// record must return them.
async fn q20_durations_come_back_to_the_microsecond(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let longest = Duration::from_micros(u64::try_from(i64::MAX)?);
    for timeout in [Duration::ZERO, TICK, Duration::from_micros(1_000_001), longest] {
        let backoff = Backoff::new(timeout, longest).with_jitter(100);
        let spec = kit.spec("job").timeout(timeout).build()?;
        kit.try_insert_exact(spec.clone().backoff(backoff)).await??;
        let job = kit.claim_one(worker).await?;
        ensure_eq!(
            (job.timeout, job.backoff),
            (timeout, Some(backoff)),
            "the timeout and backoff in the claim"
        );
        let record = kit.record(spec.id).await?;
        ensure_eq!(record.job.timeout, timeout, "the timeout in the record");
        ensure_eq!(record.job.backoff, Some(backoff), "the backoff in the record");
        kit.settle_one(job.token, complete()).await?;
    }
    Ok(())
}

/// Attributes have unusual white space, key order, numbers and escapes, the greatest length, or are
/// absent. Claim, leases and record must return each job's own bytes.
async fn q20_attributes_come_back_byte_for_byte(kit: &Kit) -> CaseResult {
    let longest = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_ATTRIBUTES_BYTES - 8));
    let texts = [
        None,
        Some("{}"),
        Some(r#"{"b": 1.0, "a": [ ]}"#),
        Some(r#" { "b" : 1e400, "a":"\u0000\ud800", "a": [ ] }"#),
        None,
        Some(longest.as_str()),
        Some(r#"{"ж":"\"'\\"}"#),
    ];
    let mut batch = Vec::new();
    for (index, text) in texts.into_iter().enumerate() {
        let spec = kit.spec("job").priority(-i16::try_from(index)?).build()?;
        batch.push(spec.attributes(text.map(Attributes::json).transpose()?));
    }
    let ids: Vec<JobId> = batch.iter().map(|spec| spec.id).collect();
    kit.backend()?.insert(InsertRequest::new(vec![batch]).at(kit.now())).await?.batches.remove(0)?;
    let worker = kit.worker().await?;
    let jobs = kit.claiming(worker, 9).kinds(&["job"]).take().await?.jobs;
    let text = |attributes: &Option<Attributes>| attributes.as_ref().map(|text| text.as_str().to_owned());
    let expected = texts.map(|text| text.map(str::to_owned));
    let claimed: Vec<_> = jobs.iter().map(|job| text(&job.attributes)).collect();
    ensure_eq!(claimed.as_slice(), expected, "the attributes in the claim");
    let leases = kit.backend()?.leases(LeasesRequest::new(worker, jobs[0].token.claim)).await?;
    ensure_eq!(leases, jobs, "the leases");
    for (id, expected) in ids.into_iter().zip(expected) {
        ensure_eq!(text(&kit.record(id).await?.job.attributes), expected, "the attributes in the record");
    }
    Ok(())
}

/// Names of kinds and queues are long, hold quotes or wildcards, or differ by case or Unicode
/// composition. They must be returned unchanged, and must not match each other.
async fn q20_names_come_back_and_are_told_apart(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let long = "ж".repeat(64);
    let names =
        ["job", "Job", "JOB", "j%b", "j_b", "job'", "\"job\"", "\u{e9}", "e\u{301}", "\u{1f980}", &long];
    for name in names {
        let spec = kit.spec("job").build()?;
        kit.try_insert_exact(spec.kind(Kind::new(name)?).queue(QueueName::new(name)?)).await??;
    }
    for name in names {
        for other in names.into_iter().filter(|other| *other != name) {
            let reply = kit.claiming(worker, 9).queue(name).kinds(&[other]).take().await?;
            ensure_eq!(reply.jobs, [], "the jobs of kind {other} in queue {name}");
        }
    }
    for name in names {
        let jobs = kit.claiming(worker, 9).queue(name).kinds(&[name]).take().await?.jobs;
        ensure!(jobs.len() == 1, "queue {name} has {} jobs of its kind", jobs.len());
        ensure_eq!((jobs[0].kind.as_str(), jobs[0].queue.as_str()), (name, name), "the names in the claim");
    }
    Ok(())
}

/// Jobs have the least and the greatest ids. They must be claimed and settled as other jobs.
async fn q20_ids_at_the_ends_of_their_range_are_jobs_like_others(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let ids = [[0; 16], [0x7f; 16], [0x80; 16], [0xff; 16]].map(JobId::from_bytes);
    kit.insert(ids.iter().rev().map(|id| kit.spec("job").id(*id)).collect()).await?;
    ensure_eq!(kit.stored().await?.jobs, ids, "the stored jobs in id order");
    for id in ids {
        let reply = kit.claiming(worker, 1).take().await?;
        ensure_eq!(reply.jobs.first().map(|job| job.token.job), Some(id), "the next job");
        kit.settle_one(reply.jobs[0].token, complete()).await?;
        ensure_eq!(kit.state(id).await?, JobState::Completed, "the state of job {id}");
    }
    Ok(())
}

/// Errors of failed, buried and cancelled jobs are empty, long, multilingual or contain SQL. Each
/// text must be returned unchanged.
async fn q20_texts_of_errors_come_back(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let long = "\u{1f980}".repeat(DEFAULT_MAX_ERROR_BYTES / 4);
    for text in ["", " \n\t", "'; drop table jobs; --", "жé\u{301}\u{10ffff}\u{feff}", &long] {
        let id = kit.insert_one(kit.spec("job")).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, retry(text, 0)).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, bury(text)).await?;
        let record = kit.record(id).await?;
        ensure_eq!(record.error.as_deref(), Some(text), "the error of the dead job");
        let errors: Vec<&str> = record.errors.iter().map(|error| error.error.as_str()).collect();
        ensure_eq!(errors, [text, text], "the errors of the attempts");
        let id = kit.insert_one(kit.spec("job")).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, cancelled(text)).await?;
        ensure_eq!(kit.record(id).await?.error.as_deref(), Some(text), "the error of the cancelled job");
    }
    Ok(())
}

/// Attempts of every length fail, alone and in one request with others that do not. Each error must
/// have the duration of its own attempt to the microsecond, or none if none was measured.
async fn q20_durations_of_attempts_come_back(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let nanos = Duration::from_nanos;
    let longest = Duration::from_micros(u64::try_from(i64::MAX)?);
    let lengths = [
        (None, None),
        (Some(Duration::ZERO), Some(Duration::ZERO)),
        (Some(nanos(1_999)), Some(nanos(1_000))),
        (Some(nanos(86_400_123_456_789)), Some(nanos(86_400_123_456_000))),
        (Some(Duration::MAX), Some(longest)),
    ];
    for verdict in [retry("failed", 0), bury("hopeless")] {
        let mut ids = kit.insert(lengths.map(|_| kit.spec("job")).to_vec()).await?;
        let mut settlements = Vec::new();
        for (job, (ran_for, _)) in kit.claim(worker, 10).await?.iter().zip(lengths) {
            settlements.push(Settlement::new(job.token, verdict.clone()).ran_for(ran_for));
        }
        let others = kit.insert(vec![kit.spec("job"), kit.spec("job")]).await?;
        for (job, verdict) in kit.claim(worker, 2).await?.iter().zip([complete(), cancelled("not wanted")]) {
            settlements.insert(1, Settlement::new(job.token, verdict).ran_for(nanos(7_000)));
        }
        let last = settlements.split_off(1);
        kit.settle_exact(worker, settlements).await?;
        kit.settle_exact(worker, last).await?;
        ids.sort();
        for (id, (ran_for, expected)) in ids.into_iter().zip(lengths) {
            let errors = kit.record(id).await?.errors;
            let seen: Vec<_> = errors.iter().map(|error| error.duration).collect();
            ensure_eq!(seen, [expected], "the duration after an attempt of {ran_for:?}");
            kit.cancel(id).await?;
        }
        for id in others {
            ensure_eq!(kit.record(id).await?.errors, [], "the errors of a job that did not fail");
        }
    }
    Ok(())
}

/// Progress counts range up to the greatest value. Each report must replace the one before.
async fn q20_progress_comes_back(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    ensure_eq!(kit.record(id).await?.progress, None, "the progress before the first report");
    let most = u64::try_from(i64::MAX)?;
    for (done, total) in [(0, 0), (3, 7), (most, most), (u64::MAX, u64::MAX), (1, 2)] {
        let mut request = HeartbeatRequest::new(worker).at(kit.now());
        request.progress.push(ProgressReport::new(token, Progress { done, total }));
        kit.backend()?.heartbeat(request).await?;
        ensure_eq!(kit.record(id).await?.progress, Some(Progress { done, total }), "the progress");
    }
    kit.settle_one(token, complete()).await?;
    Ok(())
}

/// A job with progress is released, snoozed or retried, and claimed again. It must have no progress
/// from then on.
async fn q20_a_new_attempt_has_no_progress(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for verdict in [release(), snooze(0), retry("failed", 0)] {
        let id = kit.insert_one(kit.spec("job")).await?;
        let token = kit.claim_one(worker).await?.token;
        kit.report_progress(worker, token, 3).await?;
        kit.settle_one(token, verdict.clone()).await?;
        ensure_eq!(kit.record(id).await?.progress, None, "the progress after {verdict:?}");
        let token = kit.claim_one(worker).await?.token;
        ensure_eq!(kit.record(id).await?.progress, None, "the progress of the next attempt");
        kit.settle_one(token, complete()).await?;
    }
    Ok(())
}

/// A job fails many times. Its record must have each error, oldest first.
async fn q20_each_of_many_errors_comes_back(kit: &Kit) -> CaseResult {
    const ATTEMPTS: u32 = 260;
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job").max_retries(1000)).await?;
    for attempt in 1..=ATTEMPTS {
        let token = kit.claim_one(worker).await?.token;
        kit.settle_one(token, retry(&format!("failure {attempt}"), 0)).await?;
    }
    let errors = kit.record(id).await?.errors;
    let seen: Vec<(u32, &str)> = errors.iter().map(|error| (error.attempt, error.error.as_str())).collect();
    let texts: Vec<String> = (1..=ATTEMPTS).map(|attempt| format!("failure {attempt}")).collect();
    let expected: Vec<(u32, &str)> = (1..).zip(texts.iter().map(String::as_str)).collect();
    ensure_eq!(seen, expected, "the attempts and texts of the errors");
    Ok(())
}
