//! Lists that are longer than a small backend would expect: of queues, levels, schedules and
//! announcements.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use queue_core::backend::{
    CancelRequest, InsertRequest, ListRequest, ReadyQueuesRequest, ScheduleChange, ScheduleChanged,
};
use queue_core::{JobId, Kind, QueueName, ScheduleName};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{queue, schedules};
use crate::conformance::wakes::announced;

cases! {
    Fast q13_each_of_two_hundred_levels_is_announced,
    Fast q09_each_of_two_hundred_signals_is_announced,
    Fast q19_a_look_names_a_hundred_queues,
    Fast q19_a_look_passes_thousands_of_jobs_of_other_kinds,
    Fast q20_a_list_passes_thousands_of_jobs_that_it_leaves_out,
    Fast q23_hundreds_of_schedules_are_read [Schedules],
    Fast q23_hundreds_of_jobs_of_one_change_are_stored [Schedules],
}

fn hundred_queues() -> queue_core::Result<Vec<QueueName>> {
    (0..100).map(|number| queue(&format!("queue-{number}"))).collect()
}

/// One request inserts a job of each of two priorities into each of a hundred queues. A subscriber
/// must learn of each.
async fn q13_each_of_two_hundred_levels_is_announced(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    let mut batch = Vec::new();
    for queue in hundred_queues()? {
        for priority in [0, 7] {
            batch.push(kit.spec("job").priority(priority).build()?.queue(queue.clone()));
        }
    }
    let expected: BTreeSet<_> = batch.iter().map(|job| (job.queue.clone(), job.priority)).collect();
    kit.backend()?.insert(InsertRequest::new(vec![batch]).at(kit.now())).await?.batches.remove(0)?;
    announced(&mut receiver, |all| {
        let seen: BTreeSet<_> = all.ready.iter().map(|hint| (hint.queue.clone(), hint.priority)).collect();
        seen.is_superset(&expected)
    })
    .await?;
    Ok(())
}

/// One request asks two hundred running jobs to stop. A subscriber must learn of each.
async fn q09_each_of_two_hundred_signals_is_announced(kit: &Kit) -> CaseResult {
    let jobs = kit.insert((0..200).map(|_| kit.spec("job")).collect()).await?;
    let held = kit.claim(kit.worker().await?, 200).await?;
    ensure_eq!(held.len(), 200, "the number of claimed jobs");
    let mut receiver = kit.backend()?.subscribe();
    kit.backend()?.cancel(CancelRequest::new(jobs.clone()).signal_running().at(kit.now())).await?;
    announced(&mut receiver, |all| jobs.iter().all(|job| all.cancels.contains(job))).await?;
    Ok(())
}

async fn look(kit: &Kit, queues: Vec<QueueName>, kind: &str) -> anyhow::Result<BTreeSet<QueueName>> {
    let request = ReadyQueuesRequest::new(queues, vec![Kind::new(kind)?]).at(kit.now());
    Ok(kit.backend()?.ready_queues(request).await?.queues.into_iter().collect())
}

/// A hundred queues have a job each. A look must name all.
async fn q19_a_look_names_a_hundred_queues(kit: &Kit) -> CaseResult {
    let queues = hundred_queues()?;
    let jobs = queues.iter().map(|queue| Ok(kit.spec("job").build()?.queue(queue.clone())));
    let batch = jobs.collect::<queue_core::Result<Vec<_>>>()?;
    kit.backend()?.insert(InsertRequest::new(vec![batch]).at(kit.now())).await?.batches.remove(0)?;
    let seen = look(kit, queues.clone(), "job").await?;
    ensure!(seen == queues.into_iter().collect(), "only {} of 100 queues are named: {seen:?}", seen.len());
    Ok(())
}

/// The only job of a kind is behind 3,000 jobs of another kind. A look must name its queue.
async fn q19_a_look_passes_thousands_of_jobs_of_other_kinds(kit: &Kit) -> CaseResult {
    kit.insert((0..3000).map(|_| kit.spec("other")).collect()).await?;
    let default = QueueName::default();
    kit.insert_one(kit.spec("job")).await?;
    let seen = look(kit, vec![default.clone()], "job").await?;
    ensure_eq!(seen, BTreeSet::from([default]), "the queues that a look names");
    Ok(())
}

/// The only job of a queue, of a kind and of a state is behind 3,000 others. A list of each must
/// have it.
async fn q20_a_list_passes_thousands_of_jobs_that_it_leaves_out(kit: &Kit) -> CaseResult {
    kit.insert((0..3000).map(|_| kit.spec("other")).collect()).await?;
    let job = kit.insert_one(kit.spec("job").queue("rare")).await?;
    kit.cancel(job).await?;
    let backend = kit.backend()?;
    let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    let lists = [
        ListRequest::new(3).queue(queue("rare")?),
        ListRequest::new(3).kind(Kind::new("job")?),
        ListRequest::new(3).state(queue_core::JobState::Cancelled),
    ];
    for list in lists {
        let seen: Vec<JobId> = inspect.list(list.clone()).await?.iter().map(|record| record.job.id).collect();
        ensure_eq!(seen, [job], "the jobs of {list:?}");
    }
    Ok(())
}

/// There are 300 schedules, of which every second one is never due. One request lists all, and
/// another one reads all by their names.
async fn q23_hundreds_of_schedules_are_read(kit: &Kit) -> CaseResult {
    let names: Vec<String> = (0..300).map(|number| format!("schedule-{number:03}")).collect();
    let mut changes = Vec::new();
    for (name, is_due) in names.iter().zip([true, false].into_iter().cycle()) {
        let schedule = kit.new_schedule(name)?;
        changes.push(ScheduleChange::create(if is_due { schedule.due_at(kit.now()) } else { schedule }));
    }
    kit.change_all(changes).await?;
    let backend = kit.backend()?;
    let store = schedules(&*backend)?;
    let asked = names.iter().map(ScheduleName::new).collect::<queue_core::Result<Vec<_>>>()?;
    let found = store.get(&asked).await?;
    let found: Vec<_> = found.iter().flatten().map(|schedule| schedule.name.as_str()).collect();
    ensure_eq!(found, names, "the schedules that were read by their names");
    let listed = store.list(None, 1000).await?;
    let listed: Vec<_> = listed.iter().map(|schedule| schedule.name.as_str()).collect();
    ensure_eq!(listed, names, "the list of the schedules");
    ensure_eq!(kit.due(1000).await?.schedules.len(), names.len() / 2, "the number of schedules that are due");
    Ok(())
}

/// One change of a schedule inserts 500 jobs. All must be stored, and the reply must name each.
async fn q23_hundreds_of_jobs_of_one_change_are_stored(kit: &Kit) -> CaseResult {
    let old = kit.create_due("often").await?;
    let jobs = (0..500).map(|_| kit.spec("job").build()).collect::<queue_core::Result<Vec<_>>>()?;
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let change = ScheduleChange::replace(old.version, kit.new_schedule("often")?).jobs(jobs);
    let ScheduleChanged::Done(submitted) = kit.change(change).await? else {
        anyhow::bail!("the change of the schedule was refused");
    };
    ensure_eq!(submitted.iter().map(|job| job.id).collect::<Vec<_>>(), ids, "the jobs of the reply");
    let stored: BTreeSet<JobId> = kit.stored().await?.jobs.into_iter().collect();
    ensure!(stored == ids.iter().copied().collect(), "{} of 500 jobs are stored", stored.len());
    Ok(())
}
