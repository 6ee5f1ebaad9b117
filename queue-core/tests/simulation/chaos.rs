//! All faults together: processes are killed and stopped, requests and replies are lost, the clock
//! jumps, jobs are cancelled. Then the faults end, and the stored rows must agree with the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use queue_core::backend::{CancelReply, CancelRequest, JobRecord, ListRequest};
use queue_core::{Backend, JobId, JobQueue, JobState, QueueName, Result, RunningWorker, TaskHandle};

use crate::environment::World;
use crate::script::{Script, SharedLog, serve, submit_all, task, wait_until_finished};
use crate::storage::{Faults, Storage};
use crate::tally::Rare;

/// Processes that run at the same time.
const PROCESSES: usize = 3;

/// The state of a run.
pub(crate) struct Chaos {
    world: World,
    storage: Storage,
    log: SharedLog,
    handle: TaskHandle<Script>,
    /// The processes, each with its worker and a handle on the queue that the worker serves.
    running: Vec<(u32, RunningWorker, TaskHandle<Script>)>,
    processes: u32,
    enqueued: Vec<JobId>,
    /// Jobs for which a cancel was sent. If the reply was `Cancelled`: how often the job had been
    /// claimed by then.
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

    /// Enqueues jobs and injects faults, then ends all faults and checks every job.
    pub(crate) async fn run(mut self) {
        for _ in 0..8 + self.random_below(16) {
            self.enqueue().await;
            self.sleep_up_to(4000).await;
            self.inject_fault().await;
        }
        self.storage.set_faults(Faults::default());
        self.storage.set_ahead(Duration::ZERO);
        // Longer than any process is stopped.
        self.world.sleep(Duration::from_secs(60)).await;
        wait_until_finished(&self.world, &self.storage).await;
        for (_, worker, _) in std::mem::take(&mut self.running) {
            worker.shutdown(Duration::from_secs(1)).await;
        }
        self.check().await;
    }

    fn random_below(&self, bound: u64) -> u64 {
        self.world.random_below(bound)
    }

    async fn sleep_up_to(&self, at_most_millis: u64) {
        self.world.sleep(Duration::from_millis(self.random_below(at_most_millis))).await;
    }

    fn start(&mut self) {
        self.processes += 1;
        let (worker, handle) = serve(&self.world, self.processes, &self.storage, &self.log);
        self.running.push((self.processes, worker, handle));
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
            // Some with few retries, so that they die when they are rescued twice.
            if self.random_below(3) == 0 { job.max_retries(1) } else { job }
        };
        let jobs = (0..many).map(script).map(job).collect();
        // A process with a worker enqueues half of the jobs, so that inserts send parked claims.
        let handle = match self.random_below(2) {
            0 => self.handle.clone(),
            _ => self.running[self.random_below(self.running.len() as u64) as usize].2.clone(),
        };
        let ids = submit_all(&self.world, &handle, jobs).await;
        self.enqueued.extend(ids);
    }

    async fn inject_fault(&mut self) {
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
        let (process, worker, _) = self.running.swap_remove(self.random_below(PROCESSES as u64) as usize);
        if self.log.lock().unwrap().is_running_in(process) {
            self.storage.tally.count(Rare::KilledWhileRunning);
        }
        self.world.kill(process);
        // Because a killed process runs no destructors.
        std::mem::forget(worker);
        self.start();
    }

    /// Stops a process for up to three times its expiry.
    fn stop(&self) {
        let process = self.running[self.random_below(PROCESSES as u64) as usize].0;
        let pause = Duration::from_secs(1 + self.random_below(45));
        if pause > Duration::from_secs(15) && self.log.lock().unwrap().is_running_in(process) {
            self.storage.tally.count(Rare::StoppedPastExpiry);
        }
        self.world.stop(process);
        self.later(pause, move |chaos| chaos.world.resume(process));
    }

    async fn shut_down(&mut self) {
        let (_, worker, _) = self.running.swap_remove(self.random_below(PROCESSES as u64) as usize);
        let report = worker.shutdown(Duration::from_millis(self.random_below(5000))).await;
        assert_eq!(report.abandoned, 0, "each handler stops when its token is cancelled");
        self.storage.tally.count(Rare::LeftByShutdown);
        self.start();
    }

    fn outage(&self) {
        let usual = self.storage.faults();
        self.storage.set_faults(Faults { lost_requests: 100, ..usual });
        let pause = Duration::from_millis(self.random_below(20_000));
        self.later(pause, move |chaos| chaos.storage.set_faults(usual));
    }

    /// Sets the storage's clock up to a minute ahead for a while, so that it jumps twice.
    fn jump(&self) {
        self.storage.set_ahead(Duration::from_secs(self.random_below(60)));
        let pause = Duration::from_millis(self.random_below(20_000));
        self.later(pause, |chaos| chaos.storage.set_ahead(Duration::ZERO));
    }

    /// Pauses the queue for a while. Nothing may be claimed meanwhile.
    async fn pause(&self) {
        let manage = self.storage.extensions().manage.unwrap();
        let queue = QueueName::default();
        manage.pause(&queue).await.unwrap();
        let before = self.storage.claims();
        self.sleep_up_to(10_000).await;
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

    /// Makes a change after a while.
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

/// The parts of a run that a later change needs.
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
        assert_eq!(stored, enqueued, "the stored jobs are not the enqueued ones");
        for record in &records {
            self.check_record(record);
        }
        let rows = self.storage.extensions().audit.unwrap().stored().await.unwrap();
        assert!(rows.live.is_empty(), "unfinished jobs: {:?}", rows.live);
    }

    fn check_record(&self, record: &JobRecord) {
        let id = record.job.id;
        let is_unwanted = self.unwanted.contains_key(&id);
        let most = u32::from(record.job.max_retries) + 1;
        assert!(record.attempt <= most, "{record:?}");
        let log = self.log.lock().unwrap();
        match record.state {
            JobState::Completed => {
                assert!(log.succeeded.contains(&(id, record.attempt)), "no handler succeeded: {record:?}");
                if is_unwanted {
                    self.storage.tally.count(Rare::CompletedDespiteCancel);
                }
            }
            JobState::Dead => assert_eq!(record.attempt, most, "{record:?}"),
            JobState::Cancelled => assert!(is_unwanted, "no cancel was sent: {record:?}"),
            _ => panic!("{record:?}"),
        }
        if let Some(Some(claims)) = self.unwanted.get(&id) {
            assert_eq!(self.storage.claims_of(id), *claims, "claimed after its cancel: {record:?}");
            assert_eq!(record.state, JobState::Cancelled);
        }
        let starts = log.started.iter().filter(|(job, _)| *job == id).count();
        self.storage.tally.count_many(Rare::RanAgain, starts.saturating_sub(1) as u64);
        assert_eq!(record.errors.len(), charged_failures(record), "one error per failed attempt: {record:?}");
    }
}

/// Attempts that were charged and failed.
fn charged_failures(record: &JobRecord) -> usize {
    let failed = match record.state {
        JobState::Completed => record.attempt - 1,
        // Depends on whether the cancel ended an attempt.
        JobState::Cancelled => return record.errors.len(),
        _ => record.attempt,
    };
    failed as usize
}
