//! A dropped change of a schedule is made or not, and can be repeated.

use std::sync::Arc;
use std::time::Duration;

use queue_core::{JobQueue, Kind, NewJob, Payload, Schedule, Timestamp};

use crate::at_each_poll;
use crate::yielding::YieldingBackend;

const HOUR: Duration = Duration::from_secs(3600);

fn job() -> NewJob {
    NewJob::new(Kind::new("job").unwrap(), Payload::json("1").unwrap())
}

#[tokio::test]
async fn dropped_change_of_a_schedule_is_made_or_not() {
    let backend = YieldingBackend::default();
    let jobs = JobQueue::new(Arc::new(backend.clone()));
    let schedules = jobs.schedules();
    let hourly = || Schedule::cron("@hourly");
    at_each_poll(async || schedules.put("a", hourly(), job()).await, async |_| ()).await.unwrap();
    let fired = async || schedules.get("a").await.unwrap().unwrap().fired;
    at_each_poll(
        async || schedules.run_now("a").await,
        async |_| {
            assert_eq!(
                usize::try_from(fired().await).unwrap(),
                backend.jobs().await,
                "each fire has its job"
            );
        },
    )
    .await
    .unwrap();
    at_each_poll(async || schedules.skip_next("a").await, async |_| ()).await.unwrap();
    at_each_poll(async || schedules.pause("a").await, async |_| ()).await.unwrap();
    at_each_poll(async || schedules.resume("a").await, async |_| ()).await.unwrap();
    assert!(!schedules.get("a").await.unwrap().unwrap().paused);
    at_each_poll(async || schedules.edit("a", Schedule::cron("@daily")).await, async |_| ()).await.unwrap();
    assert_eq!(schedules.get("a").await.unwrap().unwrap().overridden, Some(hourly()));
    at_each_poll(async || schedules.reset("a").await, async |_| ()).await.unwrap();
    assert_eq!(schedules.get("a").await.unwrap().unwrap().overridden, None);
    let before = backend.jobs().await;
    let from = Timestamp::UNIX_EPOCH.saturating_add(HOUR * 480_000);
    let backfill = async || schedules.backfill("a", from, from.saturating_add(HOUR * 4)).await;
    at_each_poll(backfill, async |_| {
        let stored = backend.jobs().await - before;
        assert!(stored == 0 || stored == 5, "{stored} of 5 jobs");
    })
    .await
    .unwrap();
    assert_eq!(backend.jobs().await - before, 5);
    at_each_poll(async || schedules.list(None, 9).await, async |_| ()).await.unwrap();
    at_each_poll(async || schedules.get("a").await, async |_| ()).await.unwrap();
    schedules.put("b", hourly(), job()).await.unwrap();
    let deleted = at_each_poll(async || schedules.delete("b").await, async |_| ()).await;
    assert!(deleted.is_ok() || deleted.unwrap_err().kind() == queue_core::ErrorKind::NotFound);
    assert_eq!(schedules.get("b").await.unwrap(), None);
}
