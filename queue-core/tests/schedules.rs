//! Schedules from the side of a program: what it puts, changes and reads, and what workers fire.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use queue_core::backend::{ChangeSchedulesRequest, ListRequest, ScheduleChange};
use queue_core::{
    Backend as _, CatchUp, ErrorKind, Fire, FireOutcome, HandlerResult, JobContext, JobId, JobQueue,
    JobRecord, MemoryBackend, NewJob, Overlap, Payload, Schedule, Scheduled, State, Task, Timestamp, Unique,
    Worker,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A timeout that is reached only if the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(serde::Serialize, serde::Deserialize)]
struct CleanUp {
    days: u32,
}

impl Task for CleanUp {
    const KIND: &'static str = "clean-up";
    type Output = ();

    fn options() -> queue_core::TaskOptions {
        queue_core::TaskOptions::new().max_retries(2).priority(5)
    }
}

fn queue() -> JobQueue {
    JobQueue::new(Arc::new(MemoryBackend::new()))
}

fn nightly() -> Schedule {
    Schedule::cron("30 2 * * *").zone("Europe/Berlin")
}

async fn stored(jobs: &JobQueue) -> Vec<JobRecord> {
    jobs.inspect().unwrap().list(ListRequest::new(100)).await.unwrap()
}

#[tokio::test]
async fn put_schedule_is_read_as_it_was_put() {
    let jobs = queue();
    let schedule = nightly().catch_up(CatchUp::All(7)).overlap(Overlap::Wait).jitter(Duration::from_secs(60));
    let put = jobs.schedules().put("nightly", schedule.clone(), CleanUp { days: 30 }).await.unwrap();
    assert_eq!(put, Scheduled::Created);
    let record = jobs.schedules().get("nightly").await.unwrap().unwrap();
    assert_eq!((record.name.as_str(), record.kind.as_str()), ("nightly", "clean-up"));
    assert_eq!((record.payload.as_str(), &record.schedule), (r#"{"days":30}"#, &schedule));
    assert_eq!(record.words, "every day at 02:30 Europe/Berlin");
    assert_eq!(record.next, schedule.slots_after(Timestamp::now(), 5).unwrap());
    assert_eq!((record.fired, record.skipped, record.missed, record.paused), (0, 0, 0, false));
    assert_eq!(jobs.schedules().get("other").await.unwrap(), None);
    let json = serde_json::to_value(&record).unwrap();
    assert_eq!(json["next"].as_array().unwrap().len(), 5);
    assert_eq!(json["schedule"]["cron"], "30 2 * * *");
}

#[tokio::test]
async fn unchanged_definition_keeps_its_next_slot() {
    let jobs = queue();
    let schedules = jobs.schedules();
    schedules.put("nightly", nightly(), CleanUp { days: 30 }).await.unwrap();
    schedules.skip_next("nightly").await.unwrap();
    let before = schedules.get("nightly").await.unwrap().unwrap();
    assert_eq!(
        schedules.put("nightly", nightly(), CleanUp { days: 30 }).await.unwrap(),
        Scheduled::Unchanged
    );
    assert_eq!(schedules.get("nightly").await.unwrap().unwrap(), before);
    schedules.pause("nightly").await.unwrap();
    for (schedule, days) in [(nightly(), 31), (nightly().overlap(Overlap::Skip), 31)] {
        let put = schedules.put("nightly", schedule, CleanUp { days }).await.unwrap();
        assert_eq!(put, Scheduled::Changed);
    }
    let after = schedules.get("nightly").await.unwrap().unwrap();
    assert!(after.paused, "an operator has paused it");
    schedules.resume("nightly").await.unwrap();
    let resumed = schedules.get("nightly").await.unwrap().unwrap();
    assert_eq!(resumed.next, before.next, "its slots are the same, and the skip holds");
    schedules.put("nightly", Schedule::cron("@hourly"), CleanUp { days: 31 }).await.unwrap();
    let hourly = schedules.get("nightly").await.unwrap().unwrap();
    assert_eq!(hourly.next, Schedule::cron("@hourly").slots_after(Timestamp::now(), 5).unwrap());
}

#[tokio::test]
async fn bad_input_is_refused_and_changes_nothing() {
    let jobs = queue();
    let schedules = jobs.schedules();
    for (name, schedule, fault) in [
        ("nightly", Schedule::cron("30 25 * * *"), "the hour `25`"),
        ("nightly", Schedule::cron("0 0 30 2 *"), "never fires"),
        ("nightly", nightly().zone("Europe/Berln"), "no time zone `Europe/Berln`"),
        ("nightly", Schedule::every(Duration::ZERO), "the interval is 0ns"),
        (
            "nightly",
            Schedule::cron("@hourly").jitter(Duration::from_secs(3601)),
            "two slots are only 3600s apart",
        ),
        ("a b", nightly(), "white space"),
        (&"x".repeat(129), nightly(), "129 bytes long"),
    ] {
        let error = schedules.put(name, schedule, CleanUp { days: 1 }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(fault), "{error}");
    }
    let cancels = nightly().overlap(Overlap::CancelPrevious);
    let job = NewJob::new("clean-up".parse().unwrap(), Payload::json("1").unwrap()).unique(Unique::key("k"));
    let error = schedules.put("nightly", cancels, job).await.unwrap_err();
    assert!(error.to_string().contains("unique key"), "{error}");
    let key = Unique::key("x".repeat(300));
    let job = NewJob::new("clean-up".parse().unwrap(), Payload::json("1").unwrap()).unique(key);
    let error = schedules.put("nightly", nightly(), job).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(schedules.list(None, 9).await.unwrap(), []);
    for error in [
        schedules.pause("nightly").await.unwrap_err(),
        schedules.run_now("nightly").await.unwrap_err(),
        schedules.delete("nightly").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains("`nightly`"), "{error}");
    }
}

#[tokio::test]
async fn job_by_hand_has_the_options_of_its_task() {
    let jobs = queue();
    jobs.schedules().put("nightly", nightly(), CleanUp { days: 30 }).await.unwrap();
    jobs.schedules().pause("nightly").await.unwrap();
    let id = jobs.schedules().run_now("nightly").await.unwrap();
    let [job] = stored(&jobs).await.try_into().unwrap();
    assert_eq!(
        (job.job.id, job.job.kind.as_str(), job.job.payload.as_str()),
        (id, "clean-up", r#"{"days":30}"#)
    );
    assert_eq!((job.job.max_retries, job.job.priority), (2, 5));
    let attributes: serde_json::Value = job.job.attributes.unwrap().decode().unwrap();
    assert_eq!(attributes["schedule"], "nightly");
    let record = jobs.schedules().get("nightly").await.unwrap().unwrap();
    let [Fire { outcome, job: fired, .. }] = record.recent[..] else { panic!("{record:?}") };
    assert_eq!((outcome, fired, record.fired), (FireOutcome::ByHand, Some(id), 1));
}

#[tokio::test]
async fn job_by_hand_is_the_one_that_holds_its_key() {
    let jobs = queue();
    let job =
        || NewJob::new("clean-up".parse().unwrap(), Payload::json("1").unwrap()).unique(Unique::key("k"));
    let holder = jobs.enqueue(job()).await.unwrap().id();
    jobs.schedules().put("nightly", nightly(), job()).await.unwrap();
    assert_eq!(jobs.schedules().run_now("nightly").await.unwrap(), holder);
}

#[tokio::test]
async fn skipped_slot_stays_skipped_after_a_pause() {
    let jobs = queue();
    let schedules = jobs.schedules();
    schedules.put("nightly", nightly(), CleanUp { days: 30 }).await.unwrap();
    let skipped = schedules.skip_next("nightly").await.unwrap().unwrap();
    schedules.pause("nightly").await.unwrap();
    schedules.resume("nightly").await.unwrap();
    let next = schedules.get("nightly").await.unwrap().unwrap().next;
    assert!(skipped < next[0], "{skipped} and {next:?}");
    schedules.put("nightly", nightly(), CleanUp { days: 31 }).await.unwrap();
    assert_eq!(schedules.get("nightly").await.unwrap().unwrap().next, next, "only the job changed");
}

#[tokio::test]
async fn skipped_last_slot_stays_skipped_after_a_pause() {
    let jobs = queue();
    let schedules = jobs.schedules();
    let last = nightly().slots_after(Timestamp::now(), 1).unwrap()[0];
    schedules.put("once", nightly().ending(last), CleanUp { days: 30 }).await.unwrap();
    assert_eq!(schedules.skip_next("once").await.unwrap(), Some(last));
    schedules.pause("once").await.unwrap();
    schedules.resume("once").await.unwrap();
    assert_eq!(schedules.get("once").await.unwrap().unwrap().next, []);
    assert_eq!(schedules.skip_next("once").await.unwrap(), None);
}

#[tokio::test]
async fn backfill_inserts_each_slot_once() {
    let jobs = queue();
    let hourly = Schedule::cron("0 * * * *");
    jobs.schedules().put("hourly", hourly, CleanUp { days: 1 }).await.unwrap();
    let hour = Duration::from_secs(3600);
    let from = Timestamp::UNIX_EPOCH.saturating_add(hour * 24 * 20_000);
    let to = from.saturating_add(hour * 4);
    let first = jobs.schedules().backfill("hourly", from, to).await.unwrap();
    assert_eq!(first.len(), 5);
    let second = jobs.schedules().backfill("hourly", from, to.saturating_add(hour)).await.unwrap();
    assert_eq!(second.len(), 1, "only the slot that has no job");
    let mut ids: Vec<JobId> = stored(&jobs).await.iter().map(|record| record.job.id).collect();
    ids.sort();
    assert_eq!((ids.len(), &ids[..5]), (6, &first[..]));
    let error = jobs.schedules().backfill("hourly", from, to.saturating_add(hour * 2000)).await.unwrap_err();
    assert!(error.to_string().contains("more than 1000 slots"), "{error}");
}

#[tokio::test]
async fn skips_and_deletions_show_in_the_list() {
    let jobs = queue();
    let schedules = jobs.schedules();
    for name in ["b", "a", "c"] {
        schedules.put(name, nightly(), CleanUp { days: 1 }).await.unwrap();
    }
    let next = schedules.get("a").await.unwrap().unwrap().next;
    assert_eq!(schedules.skip_next("a").await.unwrap(), Some(next[0]));
    let record = schedules.get("a").await.unwrap().unwrap();
    assert_eq!((record.next[0], record.skipped), (next[1], 1));
    assert_eq!(record.recent[0].outcome, FireOutcome::Skipped);
    schedules.delete("b").await.unwrap();
    let names = |records: &[queue_core::ScheduleRecord]| {
        records.iter().map(|record| record.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&schedules.list(None, 9).await.unwrap()), ["a", "c"]);
    assert_eq!(names(&schedules.list(Some(&record.name), 9).await.unwrap()), ["c"]);
}

/// Two workers, each with its own handle, run on one storage. Each slot must start one job.
#[tokio::test(flavor = "multi_thread")]
async fn workers_fire_each_slot_once() {
    let backend = Arc::new(MemoryBackend::new());
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let clean_up = move |context: JobContext, _: CleanUp| {
        let sender = sender.clone();
        async move {
            sender.send(context.id())?;
            HandlerResult::Ok(())
        }
    };
    let mut workers = Vec::new();
    for _ in 0..2 {
        let jobs = JobQueue::new(Arc::clone(&backend) as _);
        jobs.schedules()
            .put("often", Schedule::every(Duration::from_secs(1)), CleanUp { days: 1 })
            .await
            .unwrap();
        let clean_up = queue_core::TaskDefinition::from_fn("clean-up", clean_up.clone());
        let mut registered = jobs.clone();
        clean_up.register(&mut registered).unwrap();
        workers.push(Worker::new(&jobs).start().unwrap());
    }
    let mut started = Vec::new();
    for _ in 0..3 {
        started.push(timeout(PATIENCE, receiver.recv()).await.unwrap().unwrap());
    }
    let jobs = JobQueue::new(backend.clone());
    jobs.schedules().pause("often").await.unwrap();
    let record = jobs.schedules().get("often").await.unwrap().unwrap();
    for worker in workers {
        worker.shutdown(PATIENCE).await;
    }
    let all = stored(&jobs).await;
    assert_eq!(u64::try_from(all.len()).unwrap(), record.fired, "each fire has its job");
    let slots: Vec<Timestamp> = started.iter().map(|id| id.timestamp()).collect();
    let second = Duration::from_secs(1);
    assert!(slots.windows(2).all(|pair| pair[0].saturating_add(second) <= pair[1]), "{slots:?}");
    assert!(backend.extensions().schedules.is_some());
}

#[derive(serde::Serialize, serde::Deserialize)]
struct ExpireHolds;

impl Task for ExpireHolds {
    const KIND: &'static str = "expire-holds";
    type Output = ();

    fn schedule() -> Option<(Schedule, Self)> {
        Some((Schedule::every(Duration::from_secs(1)), Self))
    }
}

async fn expire_holds(_: ExpireHolds, fired: State<mpsc::UnboundedSender<()>>) -> HandlerResult {
    fired.send(())?;
    Ok(())
}

#[tokio::test]
async fn worker_stores_and_fires_the_schedule_of_a_type() {
    let jobs = queue();
    let (sender, mut fired) = mpsc::unbounded_channel::<()>();
    let nightly = || Worker::new(&jobs).schedule("nightly", nightly(), CleanUp { days: 30 });
    let worker = nightly().deployment("shop", 1).state(sender).handle(expire_holds).start().unwrap();
    timeout(PATIENCE, fired.recv()).await.unwrap().unwrap();
    let records = jobs.schedules().list(None, 9).await.unwrap();
    assert_eq!(
        records.iter().map(|record| record.name.as_str()).collect::<Vec<_>>(),
        ["expire-holds", "nightly"]
    );
    worker.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn worker_with_a_wrong_schedule_does_not_start() {
    let jobs = queue();
    let (sender, _fired) = mpsc::unbounded_channel::<()>();
    let worker = || Worker::new(&jobs).state(sender.clone()).handle(expire_holds);
    let wrong = worker().schedule("nightly", nightly().zone("Europe/Berln"), CleanUp { days: 30 });
    let error = wrong.start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("`nightly`") && error.to_string().contains("Berln"), "{error}");
    let twice = worker().schedule("expire-holds", nightly(), CleanUp { days: 30 });
    let error = twice.start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

/// Stores copies of a schedule that are due, and whose texts are as given.
async fn store_copies(jobs: &JobQueue, of: &str, names: impl Iterator<Item = String>, zone: &str) {
    let store = jobs.backend().extensions().schedules.unwrap();
    let stored = store.get(&[of.parse().unwrap()]).await.unwrap().remove(0).unwrap();
    let copies = names.map(|name| {
        let mut copy = stored.clone().due_at(Timestamp::UNIX_EPOCH);
        copy.name = name.parse().unwrap();
        copy.definition = copy.definition.replace("Europe/Berlin", zone);
        ScheduleChange::create(copy)
    });
    store.change(ChangeSchedulesRequest::new(copies.collect())).await.unwrap();
}

#[tokio::test]
async fn schedule_of_an_unknown_zone_is_listed_with_its_fault() {
    let jobs = queue();
    jobs.schedules().put("nightly", nightly(), CleanUp { days: 1 }).await.unwrap();
    store_copies(&jobs, "nightly", ["lost".to_owned()].into_iter(), "Europe/Berln").await;
    let [lost, nightly] = jobs.schedules().list(None, 9).await.unwrap().try_into().unwrap();
    assert!(lost.fault.as_ref().unwrap().contains("`Europe/Berln`"), "{lost:?}");
    assert_eq!((lost.words.as_str(), lost.next.len()), ("30 2 * * * Europe/Berln", 0));
    assert_eq!((nightly.fault, nightly.next.len()), (None, 5));
    jobs.schedules().pause("lost").await.unwrap();
    jobs.schedules().resume("lost").await.unwrap_err();
    jobs.schedules().edit("lost", lost.schedule.zone("Europe/Berlin")).await.unwrap();
    jobs.schedules().resume("lost").await.unwrap();
    let mended = jobs.schedules().get("lost").await.unwrap().unwrap();
    assert_eq!((mended.fault, mended.next), (None, nightly.next));
    let error = jobs.schedules().reset("lost").await.unwrap_err();
    assert!(error.to_string().contains("`lost`") && error.to_string().contains("Berln"), "{error}");
    jobs.schedules().delete("lost").await.unwrap();
}

/// More schedules of an unknown zone are due than a worker asks for at once.
#[tokio::test]
async fn schedules_that_cannot_fire_do_not_hold_up_others() {
    let jobs = queue();
    let (sender, mut fired) = mpsc::unbounded_channel::<()>();
    jobs.schedules().put("nightly", nightly(), CleanUp { days: 1 }).await.unwrap();
    let names = (0..1200).map(|number| format!("lost-{number}"));
    store_copies(&jobs, "nightly", names, "Europe/Berln").await;
    let worker = Worker::new(&jobs).state(sender).handle(expire_holds).start().unwrap();
    timeout(PATIENCE, fired.recv()).await.unwrap().unwrap();
    worker.shutdown(PATIENCE).await;
}
