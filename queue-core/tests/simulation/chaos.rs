//! Everything at once: processes are killed and stopped, the network loses what it likes, the clock jumps,
//! jobs are cancelled; then the faults end, and what is stored must be what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use queue_core::backend::{CancelReply, CancelRequest, JobRecord, ListRequest};
use queue_core::{Backend, JobId, JobQueue, QueueName, Result, RunningWorker, State, TaskHandle};

use crate::environment::World;
use crate::script::{Script, SharedLog, serve, submit_all, task, wait_until_finished};
use crate::storage::{Faults, Storage};
use crate::tally::Rare;

/// The processes that work at the same time.
const PROCESSES: usize = 3;

/// A run under way.
pub(crate) struct Chaos {
    world: World,
    storage: Storage,
    log: SharedLog,
    handle: TaskHandle<Script>,
    running: Vec<(u32, RunningWorker)>,
    processes: u32,
    enqueued: Vec<JobId>,
    /// Jobs that somebody wanted cancelled, and how often each had been claimed when the answer was that it
    /// is.
    unwanted: BTreeMap<JobId, Option<u32>>,
}

impl Chaos {
    pub(crate) fn new(world: &World, storage: &Storage, log: &SharedLog) -> Self {
        let mut queue = JobQueue::new(Arc::new(storage.clone()));
        let handle = task(world, log).register(&mut queue).unwrap();
        let (world, storage, log) = (world.clone(), storage.clone(), Arc::clone(log));
        let mut chaos = Self {
            world,
            storage,
            log,
            handle,
            running: Vec::new(),
            processes: 0,
            enqueued: Vec::new(),
            unwanted: BTreeMap::new(),
        };
        (0..PROCESSES).for_each(|_| chaos.start());
        chaos
    }

    /// Lets things happen, then has them come to an end, and checks it.
    pub(crate) async fn run(mut self) {
        for _ in 0..8 + self.random_below(16) {
            self.enqueue().await;
            self.let_pass(4000).await;
            self.trouble().await;
        }
        self.storage.set_faults(Faults::default());
        self.storage.set_ahead(Duration::ZERO);
        // Longer than any process stands still.
        self.world.sleep(Duration::from_secs(60)).await;
        wait_until_finished(&self.world, &self.storage).await;
        for (_, worker) in std::mem::take(&mut self.running) {
            worker.shutdown(Duration::from_secs(1)).await;
        }
        self.check().await;
    }

    fn random_below(&self, bound: u64) -> u64 {
        self.world.random_below(bound)
    }

    async fn let_pass(&self, at_most_millis: u64) {
        self.world.sleep(Duration::from_millis(self.random_below(at_most_millis))).await;
    }

    fn start(&mut self) {
        self.processes += 1;
        let (worker, _) = serve(&self.world, self.processes, &self.storage, &self.log);
        self.running.push((self.processes, worker));
    }

    async fn enqueue(&mut self) {
        let many = 1 + self.random_below(6);
        let script = |_| match self.random_below(24) {
            0 => Script::Panic,
            1 => Script::UntilCancelled,
            2 | 3 => Script::SnoozeOnce,
            4 | 5 => Script::FailUntil(1 + self.random_below(4) as u32),
            6..=11 => Script::Take(self.random_below(15_000)),
            _ => Script::Take(self.random_below(200)),
        };
        let job = |script| {
            let job = self.handle.job(&script).unwrap();
            // Some of them die of a second loss.
            if self.random_below(3) == 0 { job.max_retries(1) } else { job }
        };
        let jobs = (0..many).map(script).map(job).collect();
        let ids = submit_all(&self.world, &self.handle, jobs).await;
        self.enqueued.extend(ids);
    }

    async fn trouble(&mut self) {
        match self.random_below(9) {
            0 => self.kill(),
            1 => self.stop(),
            2 => self.shut_down().await,
            3 => self.outage(),
            4 => self.jump(),
            5 => self.pause().await,
            _ => self.cancel().await,
        }
    }

    fn kill(&mut self) {
        let (process, worker) = self.running.swap_remove(self.random_below(PROCESSES as u64) as usize);
        if self.log.lock().unwrap().is_running_in(process) {
            self.storage.tally.count(Rare::KilledWhileRunning);
        }
        self.world.kill(process);
        // A process that is killed drops nothing.
        std::mem::forget(worker);
        self.start();
    }

    /// Has a process stand still, up to thrice its expiry.
    fn stop(&self) {
        let process = self.running[self.random_below(PROCESSES as u64) as usize].0;
        let pause = Duration::from_secs(1 + self.random_below(45));
        if pause > Duration::from_secs(15) && self.log.lock().unwrap().is_running_in(process) {
            self.storage.tally.count(Rare::StoppedPastExpiry);
        }
        self.world.stop(process);
        self.later(pause, move |chaos| chaos.world.go_on(process));
    }

    async fn shut_down(&mut self) {
        let (_, worker) = self.running.swap_remove(self.random_below(PROCESSES as u64) as usize);
        let report = worker.shutdown(Duration::from_millis(self.random_below(5000))).await;
        assert_eq!(report.abandoned, 0, "every handler here stops when it is told to");
        self.storage.tally.count(Rare::LeftByShutdown);
        self.start();
    }

    fn outage(&self) {
        let usual = self.storage.faults();
        self.storage.set_faults(Faults { lost_requests: 100, ..usual });
        let pause = Duration::from_millis(self.random_below(20_000));
        self.later(pause, move |chaos| chaos.storage.set_faults(usual));
    }

    /// The storage's clock is up to a minute ahead for a while, so that it jumps there and back.
    fn jump(&self) {
        self.storage.set_ahead(Duration::from_secs(self.random_below(60)));
        let pause = Duration::from_millis(self.random_below(20_000));
        self.later(pause, |chaos| chaos.storage.set_ahead(Duration::ZERO));
    }

    /// While the queue is paused nothing is claimed.
    async fn pause(&self) {
        let manage = self.storage.extensions().manage.unwrap();
        let queue = QueueName::default();
        manage.pause(&queue).await.unwrap();
        let before = self.storage.claims();
        self.let_pass(10_000).await;
        assert_eq!(self.storage.claims(), before, "claims from a paused queue");
        manage.resume(&queue).await.unwrap();
    }

    async fn cancel(&mut self) {
        let id = self.enqueued[self.random_below(self.enqueued.len() as u64) as usize];
        let request = CancelRequest::new(vec![id]);
        let request = if self.random_below(2) == 0 { request.signal_running() } else { request };
        let reply: Result<Vec<CancelReply>> = self.storage.cancel(request).await;
        let is_cancelled = reply.is_ok_and(|replies| replies == [CancelReply::Cancelled]);
        let claims = is_cancelled.then(|| self.storage.claims_of(id));
        let noted = self.unwanted.entry(id).or_default();
        *noted = noted.or(claims);
    }

    /// Does something after a while.
    fn later(&self, pause: Duration, change: impl FnOnce(Remote) + Send + 'static) {
        let remote = Remote { world: self.world.clone(), storage: self.storage.clone() };
        let timer = self.world.sleep(pause);
        self.world.spawn(
            0,
            Box::pin(async move {
                timer.await;
                change(remote);
            }),
        );
    }
}

/// What a later change is made to.
struct Remote {
    world: World,
    storage: Storage,
}

impl Chaos {
    async fn check(&self) {
        let records =
            self.storage.extensions().inspect.unwrap().list(ListRequest::new(u32::MAX)).await.unwrap();
        let stored: BTreeSet<JobId> = records.iter().map(|record| record.job.id).collect();
        let enqueued: BTreeSet<JobId> = self.enqueued.iter().copied().collect();
        assert_eq!(stored, enqueued, "nothing is lost, and nothing was made up");
        for record in &records {
            self.check_record(record);
        }
        let rows = self.storage.extensions().audit.unwrap().stored().await.unwrap();
        assert!(rows.live.is_empty(), "every job is finished: {:?}", rows.live);
    }

    fn check_record(&self, record: &JobRecord) {
        let id = record.job.id;
        let is_unwanted = self.unwanted.contains_key(&id);
        let most = u32::from(record.job.max_retries) + 1;
        assert!(record.attempt <= most, "{record:?}");
        let log = self.log.lock().unwrap();
        match record.state {
            State::Completed => {
                assert!(log.succeeded.contains(&(id, record.attempt)), "no handler said so: {record:?}");
                if is_unwanted {
                    self.storage.tally.count(Rare::CompletedAllTheSame);
                }
            }
            State::Dead => assert_eq!(record.attempt, most, "{record:?}"),
            State::Cancelled => assert!(is_unwanted, "nobody wanted it cancelled: {record:?}"),
            _ => panic!("{record:?}"),
        }
        if let Some(Some(claims)) = self.unwanted.get(&id) {
            assert_eq!(self.storage.claims_of(id), *claims, "claimed once it was cancelled: {record:?}");
            assert_eq!(record.state, State::Cancelled);
        }
        let starts = log.started.iter().filter(|(job, _)| *job == id).count();
        self.storage.tally.count_many(Rare::RanAgain, starts.saturating_sub(1) as u64);
        assert_eq!(record.errors.len(), charged_failures(record), "each loss has its error: {record:?}");
    }
}

/// Attempts that were charged and did not end well.
fn charged_failures(record: &JobRecord) -> usize {
    let failed = match record.state {
        State::Completed => record.attempt - 1,
        // A cancel charges what had failed before, and the attempt that it ended, if there was one.
        State::Cancelled => return record.errors.len(),
        _ => record.attempt,
    };
    failed as usize
}
