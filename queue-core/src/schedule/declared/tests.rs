//! What deployments and operators do to the schedules of a program.

use std::sync::Arc;

use super::*;
use crate::schedule::{Unreadable, fire_due};
use crate::{JobQueue, MemoryBackend, NewJob, Overlap, Payload, Schedule, ScheduleRecord};

fn queue() -> JobQueue {
    JobQueue::new(Arc::new(MemoryBackend::new()))
}

fn hourly() -> Schedule {
    Schedule::cron("0 * * * *")
}

fn daily() -> Schedule {
    Schedule::cron("30 2 * * *")
}

fn job(payload: u32) -> NewJob {
    NewJob::new("clean-up".parse().unwrap(), Payload::json(payload.to_string()).unwrap())
}

/// What a program of this revision declares.
fn program(jobs: &JobQueue, revision: u64, schedules: &[(&str, Schedule)]) -> Declared {
    let mut declared = Declared::default();
    declared.set_deployment(Deployment::new("shop", revision));
    for (name, schedule) in schedules {
        declared.add(Declaration::new(jobs, name, schedule.clone(), job(1)).unwrap()).unwrap();
    }
    declared
}

async fn start(jobs: &JobQueue, revision: u64, schedules: &[(&str, Schedule)]) {
    program(jobs, revision, schedules).store(&**jobs.backend()).await.unwrap();
}

async fn names(jobs: &JobQueue) -> Vec<String> {
    let records = jobs.schedules().list(None, 100).await.unwrap();
    records.iter().map(|record| record.name.to_string()).collect()
}

async fn record(jobs: &JobQueue, name: &str) -> ScheduleRecord {
    jobs.schedules().get(name).await.unwrap().unwrap()
}

#[tokio::test]
async fn older_process_does_not_bring_back_what_was_removed() {
    let jobs = queue();
    start(&jobs, 7, &[("a", hourly()), ("b", hourly())]).await;
    start(&jobs, 8, &[("a", daily())]).await;
    assert_eq!(names(&jobs).await, ["a"]);
    assert_eq!(jobs.schedules().get("b").await.unwrap(), None);
    start(&jobs, 7, &[("a", hourly()), ("b", hourly())]).await;
    assert_eq!(names(&jobs).await, ["a"]);
    assert_eq!(record(&jobs, "a").await.schedule, daily());
    for error in
        [jobs.schedules().pause("b").await.unwrap_err(), jobs.schedules().run_now("b").await.unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    start(&jobs, 9, &[("a", daily()), ("b", hourly())]).await;
    let record = record(&jobs, "b").await;
    assert_eq!(record.owner, Some(Deployment::new("shop", 9)));
    assert_eq!(record.next.len(), 5, "it fires again");
}

#[tokio::test]
async fn deployment_leaves_the_schedules_of_others_alone() {
    let jobs = queue();
    jobs.schedules().put("by-hand", hourly(), job(1)).await.unwrap();
    let mut mail = program(&jobs, 1, &[("mail", hourly())]);
    mail.set_deployment(Deployment::new("mail", 1));
    mail.store(&**jobs.backend()).await.unwrap();
    start(&jobs, 7, &[("a", hourly())]).await;
    start(&jobs, 7, &[("b", hourly())]).await;
    assert_eq!(names(&jobs).await, ["a", "b", "by-hand", "mail"], "one revision may have two workers");
    start(&jobs, 8, &[]).await;
    assert_eq!(names(&jobs).await, ["by-hand", "mail"]);
}

#[tokio::test]
async fn schedule_of_a_program_is_not_put_by_another() {
    let jobs = queue();
    start(&jobs, 7, &[("a", hourly())]).await;
    let error = jobs.schedules().put("a", daily(), job(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("shop (revision 7)"), "{error}");
    assert_eq!(record(&jobs, "a").await.schedule, hourly());
    start(&jobs, 8, &[]).await;
    let put = jobs.schedules().put("a", daily(), job(1)).await.unwrap();
    assert_eq!((put, record(&jobs, "a").await.owner), (Scheduled::Created, None));
}

#[tokio::test]
async fn new_revision_of_the_same_schedule_keeps_its_next_slot() {
    let jobs = queue();
    start(&jobs, 7, &[("a", hourly())]).await;
    let skipped = jobs.schedules().skip_next("a").await.unwrap().unwrap();
    start(&jobs, 8, &[("a", hourly())]).await;
    let record = record(&jobs, "a").await;
    assert!(skipped < record.next[0], "{record:?}");
    assert_eq!(record.owner, Some(Deployment::new("shop", 8)));
}

#[tokio::test]
async fn edit_of_an_operator_outlives_the_definitions_of_the_program() {
    let jobs = queue();
    start(&jobs, 7, &[("a", hourly())]).await;
    jobs.schedules().edit("a", daily()).await.unwrap();
    let edited = record(&jobs, "a").await;
    assert_eq!((&edited.schedule, edited.overridden), (&daily(), Some(hourly())));
    assert_eq!(edited.next, daily().slots_after(Timestamp::now(), 5).unwrap());
    start(&jobs, 8, &[("a", hourly().overlap(Overlap::Skip))]).await;
    let after = record(&jobs, "a").await;
    assert_eq!((&after.schedule, &after.next), (&daily(), &edited.next));
    jobs.schedules().reset("a").await.unwrap();
    let reset = record(&jobs, "a").await;
    assert_eq!((reset.schedule, reset.overridden), (hourly().overlap(Overlap::Skip), None));
    assert_eq!(reset.next, hourly().slots_after(Timestamp::now(), 5).unwrap());
    let error = jobs.schedules().edit("a", Schedule::cron("0 0 30 2 *")).await.unwrap_err();
    assert!(error.to_string().contains("never fires"), "{error}");
}

#[tokio::test]
async fn removal_does_not_keep_an_edit() {
    let jobs = queue();
    start(&jobs, 7, &[("a", hourly())]).await;
    jobs.schedules().edit("a", daily()).await.unwrap();
    start(&jobs, 8, &[]).await;
    start(&jobs, 9, &[("a", hourly())]).await;
    assert_eq!(record(&jobs, "a").await.overridden, None);
}

#[tokio::test]
async fn removed_schedules_do_not_shorten_a_page() {
    let jobs = queue();
    let all: Vec<String> = (0..600).map(|number| format!("a{number:03}")).collect();
    let old: Vec<(&str, Schedule)> = all.iter().map(|name| (name.as_str(), hourly())).collect();
    start(&jobs, 7, &old).await;
    assert_eq!(names(&jobs).await.len(), 100);
    start(&jobs, 8, &old[590..]).await;
    assert_eq!(names(&jobs).await, all[590..]);
    let first = jobs.schedules().list(None, 3).await.unwrap();
    assert_eq!(first.iter().map(|record| record.name.as_str()).collect::<Vec<_>>(), all[590..593]);
}

#[test]
fn two_schedules_of_one_name_are_an_error() {
    let jobs = queue();
    let mut declared = program(&jobs, 7, &[("a", hourly())]);
    let error = declared.add(Declaration::new(&jobs, "a", daily(), job(1)).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("`a`"), "{error}");
}

/// The first worker of a new revision removes what its sibling has not declared yet.
#[tokio::test]
async fn schedule_that_a_sibling_removed_comes_back_as_it_was() {
    let jobs = queue();
    start(&jobs, 7, &[("a", hourly())]).await;
    start(&jobs, 7, &[("b", hourly())]).await;
    let skipped = jobs.schedules().skip_next("b").await.unwrap().unwrap();
    jobs.schedules().edit("a", daily()).await.unwrap();
    jobs.schedules().edit("b", hourly().overlap(Overlap::Skip)).await.unwrap();
    let before = record(&jobs, "b").await;
    assert!(skipped < before.next[0]);
    start(&jobs, 8, &[("a", hourly())]).await;
    assert_eq!(names(&jobs).await, ["a"]);
    start(&jobs, 8, &[("b", hourly())]).await;
    let after = record(&jobs, "b").await;
    assert_eq!((after.schedule, after.next, after.skipped), (before.schedule, before.next, 1));
    assert_eq!(names(&jobs).await, ["a", "b"]);
}

#[tokio::test]
async fn schedule_that_is_declared_again_later_is_new() {
    let jobs = queue();
    start(&jobs, 7, &[("a", hourly())]).await;
    jobs.schedules().pause("a").await.unwrap();
    start(&jobs, 8, &[]).await;
    start(&jobs, 9, &[("a", hourly())]).await;
    assert!(!record(&jobs, "a").await.paused, "the pause was one of the removed schedule");
}

#[tokio::test]
async fn older_revision_does_not_replace_what_it_cannot_read() {
    let jobs = queue();
    start(&jobs, 7, &[("a", hourly())]).await;
    rewrite(&jobs, "a", |schedule| {
        schedule.definition = r#"{"new": 1, "owner": {"program": "shop", "revision": 8}}"#.to_owned();
    })
    .await;
    start(&jobs, 7, &[("a", hourly())]).await;
    assert!(stored(&jobs, "a").await.definition.contains("new"));
    start(&jobs, 9, &[("a", hourly())]).await;
    assert_eq!(record(&jobs, "a").await.owner, Some(Deployment::new("shop", 9)));
}

/// What another version has written survives pauses, edits and removals.
#[tokio::test]
async fn unknown_keys_stay() {
    let jobs = queue();
    start(&jobs, 7, &[("a", hourly())]).await;
    rewrite(&jobs, "a", |schedule| {
        for text in [&mut schedule.definition, &mut schedule.state] {
            text.replace_range(..1, r#"{"later":[1,2.50],"#);
        }
    })
    .await;
    jobs.schedules().pause("a").await.unwrap();
    jobs.schedules().edit("a", daily()).await.unwrap();
    jobs.schedules().reset("a").await.unwrap();
    start(&jobs, 8, &[]).await;
    let left = stored(&jobs, "a").await;
    assert!(left.definition.contains(r#""later":[1,2.50]"#), "{left:?}");
    assert!(left.state.contains(r#""later":[1,2.5"#), "{left:?}");
}

#[tokio::test]
async fn schedule_that_cannot_be_stored_holds_up_no_other() {
    let jobs = queue();
    start(&jobs, 7, &[("a", hourly()), ("b", hourly()), ("old", hourly())]).await;
    rewrite(&jobs, "a", |schedule| schedule.state = "[]".to_owned()).await;
    let mut declared = program(&jobs, 8, &[("a", daily()), ("b", daily())]);
    declared.store(&**jobs.backend()).await.unwrap();
    assert_eq!((declared.has_refused(), names(&jobs).await), (true, vec!["b".to_owned()]));
    assert_eq!(record(&jobs, "b").await.schedule, daily());
    jobs.schedules().delete("a").await.unwrap();
    declared.store(&**jobs.backend()).await.unwrap();
    assert_eq!((declared.has_refused(), record(&jobs, "a").await.schedule), (false, daily()));
}

#[tokio::test]
async fn removal_needs_no_time_zone() {
    let jobs = queue();
    start(&jobs, 7, &[("a", daily().zone("Europe/Berlin"))]).await;
    rewrite(&jobs, "a", |schedule| {
        schedule.definition = schedule.definition.replace("Berlin", "Berln");
    })
    .await;
    start(&jobs, 8, &[]).await;
    let left = stored(&jobs, "a").await;
    assert_eq!((names(&jobs).await.len(), left.due_at), (0, None));
}

/// A fire has announced the cancel, which the next look makes.
#[tokio::test]
async fn removal_does_not_forget_a_cancel() {
    let jobs = queue();
    start(&jobs, 7, &[("a", hourly())]).await;
    rewrite(&jobs, "a", |schedule| {
        let mut state: State = definition::read("a", "state", &schedule.state).unwrap();
        state.cancelling = Some(crate::JobId::from_bytes([1; 16]));
        schedule.state = state.write();
    })
    .await;
    start(&jobs, 8, &[]).await;
    assert!(stored(&jobs, "a").await.due_at.is_some());
    fire_due(&**jobs.backend(), &mut Unreadable::default()).await.unwrap();
    let left = stored(&jobs, "a").await;
    assert_eq!((left.due_at, left.state.contains("cancelling")), (None, false));
    assert_eq!(names(&jobs).await.len(), 0);
}

async fn stored(jobs: &JobQueue, name: &str) -> StoredSchedule {
    let store = crate::backend::schedules(&**jobs.backend()).unwrap();
    store.get(&[name.parse().unwrap()]).await.unwrap().remove(0).unwrap()
}

/// Changes the stored texts, as another version of the library does.
async fn rewrite(jobs: &JobQueue, name: &str, change: impl FnOnce(&mut StoredSchedule)) {
    let mut schedule = stored(jobs, name).await;
    change(&mut schedule);
    let change = ScheduleChange::replace(schedule.version, schedule);
    let store = crate::backend::schedules(&**jobs.backend()).unwrap();
    store.change(ChangeSchedulesRequest::new(vec![change])).await.unwrap().remove(0).unwrap();
}
