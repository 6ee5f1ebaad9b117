//! Q20: reads return whole records, of the jobs that were asked for, in order.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{InsertRequest, JobRecord, ListRequest};
use queue_core::{Attributes, Backoff, JobId, JobState, Kind, QueueName};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{Session, TICK, bury, cancelled, complete_with, release, retry, snooze};

cases! {
    Fast q20_a_list_has_the_jobs_of_its_filters_in_order,
    Fast q20_jobs_are_read_in_the_order_of_the_request,
    Fast q20_records_outlive_the_handle [Durable],
}

/// Names that only an exact comparison keeps apart.
const QUEUES: [&str; 3] = ["mail", "mail-2", "Mail"];
const KINDS: [&str; 3] = ["send", "send.all", "Send"];
const STATES: [JobState; 7] = [
    JobState::Scheduled,
    JobState::Ready,
    JobState::Running,
    JobState::Retrying,
    JobState::Completed,
    JobState::Dead,
    JobState::Cancelled,
];
/// The length of a page, so that most filters have several pages.
const PAGE: u32 = 2;

/// Jobs of each state, queue and kind are listed by each filter, whole and in pages. Each list must
/// have exactly the records of its jobs, in the order of their ids.
async fn q20_a_list_has_the_jobs_of_its_filters_in_order(kit: &Kit) -> CaseResult {
    let all = jobs_of_every_state(kit).await?;
    for state in STATES.map(Some).into_iter().chain([None]) {
        for queue in QUEUES.map(Some).into_iter().chain([None]) {
            for kind in KINDS.map(Some).into_iter().chain([None]) {
                let is_meant = |record: &&JobRecord| {
                    state.is_none_or(|state| record.state == state)
                        && queue.is_none_or(|name| record.job.queue.as_str() == name)
                        && kind.is_none_or(|name| record.job.kind.as_str() == name)
                };
                let expected: Vec<JobRecord> = all.iter().filter(is_meant).cloned().collect();
                let mut request = ListRequest::new(u32::MAX);
                request.state = state;
                request.queue = queue.map(QueueName::new).transpose()?;
                request.kind = kind.map(Kind::new).transpose()?;
                ensure_eq!(list(kit, request.clone()).await?, expected, "the jobs of {request:?}");
                ensure_eq!(pages(kit, request.clone()).await?, expected, "the pages of {request:?}");
            }
        }
    }
    Ok(())
}

async fn list(session: &Session, request: ListRequest) -> anyhow::Result<Vec<JobRecord>> {
    let backend = session.backend()?;
    Ok(backend.extensions().inspect.context("the backend offers no `inspect`")?.list(request).await?)
}

/// Lists page by page.
async fn pages(session: &Session, mut request: ListRequest) -> anyhow::Result<Vec<JobRecord>> {
    request.limit = PAGE;
    let mut all = Vec::new();
    loop {
        let page = list(session, request.clone()).await?;
        ensure!(page.len() <= PAGE as usize, "a page of {PAGE} jobs has {}", page.len());
        let Some(last) = page.last() else { return Ok(all) };
        // Otherwise the pages would never end.
        ensure!(
            request.after < Some(last.job.id),
            "the page after {:?} ends with {}",
            request.after,
            last.job.id
        );
        request.after = Some(last.job.id);
        all.extend(page);
    }
}

/// A request names jobs out of order, twice, and jobs that do not exist. The reply must have an
/// entry for each of its ids.
async fn q20_jobs_are_read_in_the_order_of_the_request(kit: &Kit) -> CaseResult {
    let all = jobs_of_every_state(kit).await?;
    let unknown = kit.id_at(kit.now());
    let mut ids: Vec<JobId> = all.iter().rev().map(|record| record.job.id).collect();
    ids.extend([unknown, ids[3], ids[0], unknown, ids[3]]);
    let record_of = |id: &JobId| all.iter().find(|record| record.job.id == *id).cloned();
    let expected: Vec<Option<JobRecord>> = ids.iter().map(record_of).collect();
    let backend = kit.backend()?;
    let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    ensure_eq!(inspect.jobs(&ids).await?, expected, "the records");
    Ok(())
}

/// The handle is reopened. Each record must be as before, and claims must return the fields of the
/// ready jobs.
async fn q20_records_outlive_the_handle(kit: &Kit) -> CaseResult {
    let before = jobs_of_every_state(kit).await?;
    kit.reopen().await?;
    for record in before {
        let id = record.job.id;
        ensure_eq!(kit.record(id).await?, record, "job {id} after the reopen");
        if record.state != JobState::Ready {
            continue;
        }
        let (worker, job) = (kit.worker().await?, &record.job);
        let claiming = kit.claiming(worker, 1).queue(job.queue.as_str()).kinds(&[job.kind.as_str()]);
        let claimed = claiming.take().await?.jobs.pop().context("a ready job was not claimed")?;
        ensure_eq!(
            (claimed.token.job, claimed.payload, claimed.attributes, claimed.backoff, claimed.timeout),
            (id, job.payload.clone(), job.attributes.clone(), job.backoff, job.timeout),
            "the fields of the claimed job"
        );
    }
    Ok(())
}

/// Inserts jobs of each state in each queue and kind, with all their fields and at odd times, and
/// returns their records in the order of the ids. Ids, times of insert and priorities have
/// different orders.
async fn jobs_of_every_state(kit: &Kit) -> anyhow::Result<Vec<JobRecord>> {
    let mut ids = Vec::new();
    for index in 0..STATES.len() * 2 {
        kit.advance(Duration::from_micros(1_000_001));
        let (name, kind) = (QUEUES[index % 3], KINDS[index / 3 % 3]);
        let earlier = kit.now().saturating_sub(Duration::from_secs(60 * u64::try_from(index)?));
        let id = kit.id_at(earlier);
        let spec = kit.spec(kind).queue(name).id(id).max_retries(9).priority(i16::try_from(index % 4)?);
        let attributes = Attributes::json(format!("{{ \"index\": {index} }}"))?;
        let backoff = Backoff::new(TICK, Duration::from_secs(9)).with_jitter(7);
        let spec = spec.payload(format!("[ {index}.50 ]")).build()?.attributes(attributes).backoff(backoff);
        let reply = kit.backend()?.insert(InsertRequest::new(vec![vec![spec]]).at(kit.now())).await?;
        reply.batches.into_iter().collect::<queue_core::Result<Vec<_>>>()?;
        let state = STATES[index % STATES.len()];
        bring_into(kit, state, (name, kind), id).await.with_context(|| format!("job {id}, {state}"))?;
        ids.push(id);
    }
    ids.sort();
    let mut all = Vec::new();
    for id in ids {
        all.push(kit.record(id).await?);
    }
    Ok(all)
}

/// Brings the job into a state, after a failed attempt.
async fn bring_into(kit: &Kit, state: JobState, (name, kind): (&str, &str), id: JobId) -> CaseResult {
    let worker = kit.worker().await?;
    let claim = async || -> anyhow::Result<_> {
        let reply = kit.claiming(worker, 100).queue(name).kinds(&[kind]).take().await?;
        for other in reply.jobs.iter().filter(|job| job.token.job != id) {
            kit.settle_one(other.token, release()).await?;
        }
        let job = reply.jobs.into_iter().find(|job| job.token.job == id);
        Ok(job.context("the claim did not return the job")?.token)
    };
    kit.settle_one(claim().await?, retry("first failure", 0)).await?;
    let token = claim().await?;
    kit.report_progress(worker, token, 3).await?;
    kit.advance(TICK);
    let verdict = match state {
        JobState::Scheduled => snooze(3600),
        JobState::Retrying => retry("second failure", 3600),
        JobState::Completed => complete_with(b"\0result"),
        JobState::Dead => bury("hopeless"),
        JobState::Cancelled => cancelled("not wanted"),
        JobState::Ready => release(),
        _ => return Ok(()),
    };
    kit.settle_one(token, verdict).await?;
    ensure_eq!(kit.state(id).await?, state, "the state");
    Ok(())
}
