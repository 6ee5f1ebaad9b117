//! The slots of a worker, and the buffer of claimed jobs before them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::backend::ClaimedJob;
use crate::poison::ignore_poison;
use crate::runtime::decide::buffer::{Buffer, BufferedJob};
use crate::runtime::settings::WorkerSettings;
use crate::runtime::shared::running::{Interruption, RunningJob};
use crate::{JobContext, JobId, Token};

/// Claimed jobs on their way into the slots, and the jobs that run there.
///
/// Claim loops add jobs; each slot takes the next one, shows what it runs, and notes when it has
/// nothing to do.
#[derive(Debug)]
pub(crate) struct Slots {
    buffer: Mutex<Buffer>,
    /// One permit per job that was added and not yet taken. A job that is removed before its start
    /// leaves its permit, and the slot that acquires it waits for the next.
    waiting: Semaphore,
    running: Vec<Mutex<Option<RunningJob>>>,
    idle: AtomicUsize,
    /// A claim loop waits for room.
    room_wanted: AtomicBool,
    /// The most jobs of one claim.
    batch: usize,
}

impl Slots {
    pub(crate) fn new(settings: &WorkerSettings) -> Self {
        Self {
            buffer: Mutex::new(Buffer::new(settings.slots, settings.buffer_time, settings.batch)),
            waiting: Semaphore::new(0),
            running: (0..settings.slots).map(|_| Mutex::new(None)).collect(),
            idle: AtomicUsize::new(0),
            room_wanted: AtomicBool::new(false),
            batch: settings.batch,
        }
    }

    /// Slots that have nothing to do and for which no job waits.
    pub(crate) fn free(&self) -> usize {
        self.idle.load(Ordering::SeqCst).saturating_sub(self.buffer().len())
    }

    /// How many jobs to claim, given the most urgent priority that a wake-up announced.
    pub(crate) fn room(&self, urgent: Option<i16>) -> usize {
        let buffer = self.buffer();
        let room = buffer.room(self.idle.load(Ordering::SeqCst));
        let overtakes = urgent.is_some_and(|priority| buffer.would_overtake(priority));
        let room = if overtakes { room.max(self.running.len()) } else { room };
        room.min(self.batch)
    }

    /// Has [`next_job`](Self::next_job) announce when there is room again.
    pub(crate) fn want_room(&self) {
        self.room_wanted.store(true, Ordering::SeqCst);
    }

    /// Adds claimed jobs. Returns those that must not wait.
    #[must_use]
    pub(crate) fn add(&self, backend: usize, jobs: Vec<ClaimedJob>, now: Instant) -> Vec<ClaimedJob> {
        let many = jobs.len();
        let idle = self.idle.load(Ordering::SeqCst);
        let refused = self.buffer().push(backend, jobs, idle, now);
        self.waiting.add_permits(many - refused.len());
        refused
    }

    /// Waits for the next job; `None` once the slots are closed. Calls `announce_room` if a claim
    /// loop wanted room and there is some now.
    pub(crate) async fn next_job(
        &self,
        now: impl Fn() -> Instant,
        announce_room: impl Fn(),
    ) -> Option<BufferedJob> {
        loop {
            if let Ok(permit) = self.waiting.try_acquire() {
                permit.forget();
            } else {
                let idle = IdleGuard::begin(&self.idle);
                self.check_room(&announce_room);
                let permit = self.waiting.acquire().await;
                drop(idle);
                permit.ok()?.forget();
            }
            let next = self.buffer().pop(now());
            self.check_room(&announce_room);
            if next.is_some() {
                return next;
            }
        }
    }

    fn check_room(&self, announce_room: impl Fn()) {
        if self.room_wanted.load(Ordering::SeqCst) {
            let buffer = self.buffer();
            let has_room = buffer.len() <= buffer.target() / 2;
            drop(buffer);
            if has_room && self.room_wanted.swap(false, Ordering::SeqCst) {
                announce_room();
            }
        }
    }

    /// Has each slot end once its job has ended.
    pub(crate) fn close(&self) {
        self.waiting.close();
    }

    pub(crate) fn learn_run(&self, took: Duration) {
        self.buffer().learn_run(took);
    }

    /// Shows what a slot runs, so that other loops can interrupt it.
    pub(crate) fn show(&self, slot: usize, running: Option<RunningJob>) {
        *ignore_poison(self.running[slot].lock()) = running;
    }

    /// Asks the matching jobs to stop.
    pub(crate) fn interrupt(&self, reason: Interruption, wanted: impl Fn(&RunningJob) -> bool) {
        for slot in &self.running {
            if let Some(running) = &*ignore_poison(slot.lock())
                && wanted(running)
            {
                running.interrupt(reason);
            }
        }
    }

    /// The running jobs of one backend.
    pub(crate) fn running(&self, backend: usize) -> Vec<(Token, JobContext)> {
        let shown = |slot: &Mutex<Option<RunningJob>>| {
            let running = ignore_poison(slot.lock());
            let running = running.as_ref().filter(|running| running.backend == backend)?;
            Some((running.token, running.context.clone()))
        };
        self.running.iter().filter_map(shown).collect()
    }

    /// The jobs of one backend whose handlers [became stuck](RunningJob::became_stuck).
    pub(crate) fn stuck(&self, backend: usize, now: Instant, grace: Duration) -> Vec<JobContext> {
        let shown = |slot: &Mutex<Option<RunningJob>>| {
            let running = ignore_poison(slot.lock());
            let running = running.as_ref().filter(|running| running.backend == backend)?;
            running.became_stuck(now, grace).then(|| running.context.clone())
        };
        self.running.iter().filter_map(shown).collect()
    }

    /// Whether a job of this backend waits or runs.
    pub(crate) fn holds(&self, backend: usize) -> bool {
        self.buffer().holds(backend) || !self.running(backend).is_empty()
    }

    /// Removes one job that has not started.
    pub(crate) fn remove(&self, backend: usize, id: JobId) -> Option<ClaimedJob> {
        self.buffer().remove(backend, id)
    }

    /// Removes the jobs of one backend that have not started.
    pub(crate) fn drain(&self, backend: usize) -> Vec<ClaimedJob> {
        self.buffer().drain_backend(backend)
    }

    /// Removes the jobs of one backend that have waited far too long.
    pub(crate) fn take_stale(&self, backend: usize, now: Instant) -> Vec<ClaimedJob> {
        self.buffer().take_stale(backend, now)
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        ignore_poison(self.buffer.lock())
    }
}

/// Counts a slot as idle, also if its task is dropped.
struct IdleGuard<'a>(&'a AtomicUsize);

impl<'a> IdleGuard<'a> {
    fn begin(idle: &'a AtomicUsize) -> Self {
        idle.fetch_add(1, Ordering::SeqCst);
        Self(idle)
    }
}

impl Drop for IdleGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
