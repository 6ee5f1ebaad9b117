//! What is wrong with the mutants: each does later, or in two transactions, what must be done in
//! one.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use queue_core::backend::{
    Backend, CancelReply, CancelRequest, ChangeSchedulesRequest, ClaimReply, ClaimRequest, DueSchedulesReply,
    DueSchedulesRequest, Extensions, InsertReply, InsertRequest, ScheduleChanged, ScheduleStore,
    SettleRequest, Settled, StoredSchedule, Verdict, Wrapper,
};
use queue_core::{Insertion, JobSpec, Result, ScheduleName, Submitted};
use queue_sqlite::SqliteBackend;
use rusqlite::{Connection, params};

use crate::counter::Counter;

pub(crate) type Make = fn() -> Arc<dyn Flaw>;

/// The requests that a flaw replaces.
#[async_trait]
pub(crate) trait Flaw: Send + Sync + 'static {
    async fn insert(&self, flawed: &Flawed, request: InsertRequest) -> Result<InsertReply> {
        flawed.sound.insert(request).await
    }

    async fn settle(&self, flawed: &Flawed, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        flawed.sound.settle(request).await
    }

    async fn change(
        &self,
        flawed: &Flawed,
        request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        flawed.schedules().change(request).await
    }

    /// Called before the other requests that concern jobs.
    async fn before(&self, _flawed: &Flawed) -> Result<()> {
        Ok(())
    }
}

/// One handle of a mutant.
pub(crate) struct Flawed {
    pub(crate) sound: SqliteBackend,
    pub(crate) flaw: Arc<dyn Flaw>,
    pub(crate) counter: Counter,
    pub(crate) path: PathBuf,
}

impl fmt::Debug for Flawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sound.fmt(f)
    }
}

impl Flawed {
    fn schedules(&self) -> &dyn ScheduleStore {
        self.sound.extensions().schedules.unwrap()
    }
}

#[async_trait]
impl Wrapper for Flawed {
    fn inner(&self) -> &dyn Backend {
        &self.sound
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        self.flaw.insert(self, request).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        self.flaw.before(self).await?;
        self.sound.claim(request).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.flaw.settle(self, request).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.flaw.before(self).await?;
        self.sound.cancel(request).await
    }

    fn extensions(&self) -> Extensions<'_> {
        self.sound.extensions().schedules(self)
    }
}

#[async_trait]
impl ScheduleStore for Flawed {
    async fn due(&self, request: DueSchedulesRequest) -> Result<DueSchedulesReply> {
        self.schedules().due(request).await
    }

    async fn change(&self, request: ChangeSchedulesRequest) -> Result<Vec<Result<ScheduleChanged>>> {
        self.flaw.change(self, request).await
    }

    async fn get(&self, names: &[ScheduleName]) -> Result<Vec<Option<StoredSchedule>>> {
        self.schedules().get(names).await
    }

    async fn list(&self, after: Option<&ScheduleName>, limit: u32) -> Result<Vec<StoredSchedule>> {
        self.schedules().list(after, limit).await
    }
}

/// Stores each batch with the next request, and says at once that it is stored.
#[derive(Default)]
pub(crate) struct WritesBehind(Mutex<Option<InsertRequest>>);

#[async_trait]
impl Flaw for WritesBehind {
    async fn insert(&self, flawed: &Flawed, request: InsertRequest) -> Result<InsertReply> {
        self.before(flawed).await?;
        let new = |job: &JobSpec| Submitted::new(job.id, Insertion::New);
        let answers = request.batches.iter().map(|batch| Ok(batch.iter().map(new).collect()));
        let reply = InsertReply::new(answers.collect());
        flawed.counter.reached();
        *self.0.lock().unwrap() = Some(request);
        Ok(reply)
    }

    async fn before(&self, flawed: &Flawed) -> Result<()> {
        let Some(request) = self.0.lock().unwrap().take() else { return Ok(()) };
        flawed.sound.insert(request).await.map(drop)
    }
}

pub(crate) struct HalfBatches;

#[async_trait]
impl Flaw for HalfBatches {
    async fn insert(&self, flawed: &Flawed, request: InsertRequest) -> Result<InsertReply> {
        let mut answers = Vec::new();
        for mut first in request.batches {
            let second = first.split_off(first.len() / 2);
            let mut jobs = Vec::new();
            for half in [first, second].into_iter().filter(|half| !half.is_empty()) {
                flawed.counter.reached();
                let mut one = InsertRequest::new(vec![half]);
                one.now = request.now;
                jobs.extend(flawed.sound.insert(one).await?.batches.remove(0)?);
            }
            answers.push(Ok(jobs));
        }
        Ok(InsertReply::new(answers))
    }
}

pub(crate) struct LateFollowUps;

#[async_trait]
impl Flaw for LateFollowUps {
    async fn settle(&self, flawed: &Flawed, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let mut late = Vec::new();
        for settlement in &mut request.settlements {
            if let Verdict::Complete(completion) = &mut settlement.verdict {
                late.append(&mut completion.follow_ups);
            }
        }
        let now = request.now;
        let replies = flawed.sound.settle(request).await?;
        if !late.is_empty() {
            flawed.counter.reached();
            let mut insert = InsertRequest::new(vec![late]);
            insert.now = now;
            flawed.sound.insert(insert).await?;
        }
        Ok(replies)
    }
}

pub(crate) struct LateResults;

#[async_trait]
impl Flaw for LateResults {
    async fn settle(&self, flawed: &Flawed, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let mut late = Vec::new();
        for settlement in &mut request.settlements {
            if let Verdict::Complete(completion) = &mut settlement.verdict {
                late.extend(completion.result.take().map(|result| (settlement.token, result)));
            }
        }
        let replies = flawed.sound.settle(request).await?;
        let connection = Connection::open(&flawed.path).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
        for (token, result) in late {
            flawed.counter.reached();
            let sql = "UPDATE queue_outcomes SET result = ?3
                WHERE claim = ?2 AND seq = (SELECT seq FROM queue_jobs WHERE id = ?1)";
            let parameters = params![token.job.to_bytes(), token.claim.to_bytes(), result];
            connection.execute(sql, parameters).unwrap();
        }
        Ok(replies)
    }
}

pub(crate) struct LateFires;

#[async_trait]
impl Flaw for LateFires {
    async fn change(
        &self,
        flawed: &Flawed,
        mut request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        let late: Vec<_> =
            request.changes.iter_mut().map(|change| std::mem::take(&mut change.jobs)).collect();
        let now = request.now;
        let mut replies = flawed.schedules().change(request).await?;
        for (reply, jobs) in replies.iter_mut().zip(late) {
            if let (Ok(ScheduleChanged::Done(submitted)), false) = (reply, jobs.is_empty()) {
                flawed.counter.reached();
                let mut insert = InsertRequest::new(vec![jobs]);
                insert.now = now;
                *submitted = flawed.sound.insert(insert).await?.batches.remove(0)?;
            }
        }
        Ok(replies)
    }
}

/// Loses an insert that it has acknowledged, like a list that is cut, after more requests than the
/// cases of other tiers send.
#[derive(Default)]
pub(crate) struct LosesRarely(AtomicU32);

#[async_trait]
impl Flaw for LosesRarely {
    async fn insert(&self, flawed: &Flawed, request: InsertRequest) -> Result<InsertReply> {
        if self.0.fetch_add(1, Ordering::Relaxed) % 300 != 299 {
            return flawed.sound.insert(request).await;
        }
        flawed.counter.reached();
        let new = |job: &JobSpec| Submitted::new(job.id, Insertion::New);
        let answers = request.batches.iter().map(|batch| Ok(batch.iter().map(new).collect()));
        Ok(InsertReply::new(answers.collect()))
    }
}
