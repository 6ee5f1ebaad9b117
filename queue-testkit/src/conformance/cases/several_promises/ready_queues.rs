//! Q19, Q17: `ready_queues` leaves out no queue with a ready job.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{ReadyQueuesReply, ReadyQueuesRequest};
use queue_core::{Kind, QueueName};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{complete, queue};

cases! {
    Fast q19_a_look_names_every_queue_that_has_something,
    Fast q19_a_look_names_a_queue_from_the_moment_that_a_job_of_it_is_due,
    Fast q19_a_look_passes_what_is_no_reason_to_leave_a_queue_out,
    Fast q17_a_look_leaves_out_no_queue_that_was_resumed [Manage],
}

async fn look(kit: &Kit, queues: &[&str], kinds: &[&str]) -> anyhow::Result<ReadyQueuesReply> {
    let queues = queues.iter().map(|name| queue(name)).collect::<queue_core::Result<Vec<_>>>()?;
    let kinds = kinds.iter().map(Kind::new).collect::<queue_core::Result<Vec<_>>>()?;
    let asked: BTreeSet<QueueName> = queues.iter().cloned().collect();
    let reply = kit.backend()?.ready_queues(ReadyQueuesRequest::new(queues, kinds).at(kit.now())).await?;
    let strange = reply.queues.iter().find(|queue| !asked.contains(*queue));
    ensure!(strange.is_none(), "the reply names the queue {strange:?}, which was not requested");
    Ok(reply)
}

fn names(reply: &ReadyQueuesReply, name: &str) -> bool {
    reply.queues.iter().any(|queue| queue.as_str() == name)
}

/// Queues hold jobs of the requested kinds and several priorities. The reply must name each of
/// them, until its last job is claimed.
async fn q19_a_look_names_every_queue_that_has_something(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let specs = vec![
        kit.spec("first").queue("one"),
        kit.spec("last").queue("two"),
        kit.spec("other").queue("two"),
        kit.spec("other").queue("three"),
        kit.spec("last").queue("four").priority(-7),
    ];
    kit.insert(specs).await?;
    let all = ["empty", "one", "two", "three", "four"];
    for _ in 0..2 {
        let reply = look(kit, &all, &["first", "middle", "last"]).await?;
        for name in ["one", "two", "four"] {
            ensure!(names(&reply, name), "queue `{name}` has a job, but is not in the reply: {reply:?}");
        }
        // A second call must return the same, because it claims nothing.
    }
    let reply = look(kit, &all, &[]).await?;
    ensure_eq!(reply.next_due, None, "next_due without a scheduled job");
    for (name, kind) in [("one", "first"), ("two", "last"), ("four", "last")] {
        let jobs = kit.claiming(worker, 5).queue(name).kinds(&[kind]).take().await?.jobs;
        ensure_eq!(jobs.len(), 1, "the number of jobs claimed from `{name}`");
        kit.settle_one(jobs[0].token, complete()).await?;
    }
    let reply = look(kit, &all, &["other"]).await?;
    for name in ["two", "three"] {
        ensure!(
            names(&reply, name),
            "queue `{name}` has a job of another kind, but is not in the reply: {reply:?}"
        );
    }
    Ok(())
}

/// A queue has only a scheduled job. The reply may give the time until it is due, and must name the
/// queue from that time on.
async fn q19_a_look_names_a_queue_from_the_moment_that_a_job_of_it_is_due(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let wait = Duration::from_secs(10);
    let due = kit.now().saturating_add(wait);
    kit.insert(vec![
        kit.spec("job").queue("soon").run_at(due),
        kit.spec("job").queue("later").run_at(due.saturating_add(wait)),
    ])
    .await?;
    let reply = look(kit, &["soon", "later"], &["job"]).await?;
    let is_named = names(&reply, "soon");
    ensure!(
        is_named || reply.next_due.is_none_or(|next| next <= wait),
        "the first job is due in {wait:?}, but next_due is {:?}",
        reply.next_due
    );
    kit.advance(wait);
    let reply = look(kit, &["later", "soon"], &["job"]).await?;
    ensure!(names(&reply, "soon"), "a job of `soon` is due, but the queue is not in the reply: {reply:?}");
    ensure_eq!(
        kit.claiming(worker, 5).queue("soon").take().await?.jobs.len(),
        1,
        "the number of jobs claimed when due"
    );
    Ok(())
}

/// Queues have jobs of other kinds that are more urgent, earlier or due, jobs that wait, and a
/// thousand empty queues before them. The reply must name each.
async fn q19_a_look_passes_what_is_no_reason_to_leave_a_queue_out(kit: &Kit) -> CaseResult {
    let soon = kit.now().saturating_add(Duration::from_secs(10));
    kit.insert(vec![
        kit.spec("other").queue("behind-urgent").priority(9),
        kit.spec("job").queue("behind-urgent"),
        kit.spec("other").queue("behind-earlier"),
        kit.spec("job").queue("behind-earlier"),
        kit.spec("job").queue("beside-waiting").run_at(soon.saturating_add(Duration::from_secs(10))),
        kit.spec("job").queue("beside-waiting"),
        kit.spec("other").queue("due").run_at(soon),
    ])
    .await?;
    kit.set_clock(soon);
    let expected = ["behind-urgent", "behind-earlier", "beside-waiting", "due"];
    let empty: Vec<String> = (0..1000).map(|number| format!("empty-{number}")).collect();
    let queues: Vec<&str> = empty.iter().map(String::as_str).chain(expected).collect();
    let reply = look(kit, &queues, &["job"]).await?;
    for name in expected {
        ensure!(names(&reply, name), "queue `{name}` is not among the {} in the reply", reply.queues.len());
    }
    Ok(())
}

/// One of two queues is paused. The reply must name the other queue, and the paused one after its
/// resume.
async fn q17_a_look_leaves_out_no_queue_that_was_resumed(kit: &Kit) -> CaseResult {
    kit.insert(vec![kit.spec("job").queue("mail"), kit.spec("job").queue("other")]).await?;
    let backend = kit.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    manage.pause(&queue("mail")?).await?;
    let reply = look(kit, &["mail", "other"], &["job"]).await?;
    ensure!(names(&reply, "other"), "a queue is not in the reply because another one is paused: {reply:?}");
    manage.resume(&queue("mail")?).await?;
    let reply = look(kit, &["mail", "other"], &["job"]).await?;
    ensure!(names(&reply, "mail"), "a resumed queue is not in the reply: {reply:?}");
    Ok(())
}
