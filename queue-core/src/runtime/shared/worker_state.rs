//! What the slots and the loops of all backends share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::backend::{ClaimedJob, Verdict};
use crate::context::ShutdownDeadline;
use crate::poison::ignore_poison;
use crate::runtime::decide::buffer::{Buffer, Buffered};
use crate::runtime::run::attempt::{Interruption, Running};
use crate::runtime::shared::served_backend::Station;
use crate::runtime::{Environment, WorkerSettings};
use crate::state::StateMap;
use crate::{JobId, Token};

/// The shared middle of a worker: a buffer of claimed jobs between the claim loops and the slots.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) settings: WorkerSettings,
    pub(crate) stations: Vec<Arc<Station>>,
    pub(crate) state: Arc<StateMap>,
    pub(crate) shutdown: ShutdownDeadline,
    /// Ends the claim loops.
    pub(crate) stop_claims: CancellationToken,
    /// Ends the settle loops, once nothing is left to settle.
    pub(crate) stop_settles: CancellationToken,
    /// Ends the heartbeats.
    pub(crate) stop_beats: CancellationToken,
    buffer: Mutex<Buffer>,
    /// One permit for each job in the buffer, or taken out of it before it started.
    waiting: Semaphore,
    slots: Vec<Mutex<Option<Running>>>,
    idle: AtomicUsize,
    /// A claim loop waits for room.
    hungry: AtomicBool,
}

impl Engine {
    pub(crate) fn new(
        environment: Arc<dyn Environment>,
        settings: WorkerSettings,
        stations: Vec<Arc<Station>>,
        state: StateMap,
    ) -> Self {
        let buffer = Buffer::new(settings.slots, settings.buffer_time, settings.batch);
        Self {
            environment,
            stations,
            state: Arc::new(state),
            shutdown: ShutdownDeadline::default(),
            stop_claims: CancellationToken::new(),
            stop_settles: CancellationToken::new(),
            stop_beats: CancellationToken::new(),
            buffer: Mutex::new(buffer),
            waiting: Semaphore::new(0),
            slots: (0..settings.slots).map(|_| Mutex::new(None)).collect(),
            idle: AtomicUsize::new(0),
            hungry: AtomicBool::new(false),
            settings,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.environment.now()
    }

    /// Slots that have nothing to do and for which nothing waits.
    pub(crate) fn free_slots(&self) -> usize {
        self.idle.load(Ordering::SeqCst).saturating_sub(self.buffer().len())
    }

    /// How many jobs to claim, given the most urgent priority that was announced.
    pub(crate) fn room(&self, urgent: Option<i16>) -> usize {
        let buffer = self.buffer();
        let room = buffer.room(self.idle.load(Ordering::SeqCst));
        let overtakes = urgent.is_some_and(|priority| buffer.would_overtake(priority));
        let room = if overtakes { room.max(self.settings.slots) } else { room };
        room.min(self.settings.batch)
    }

    /// Has the slots call the claim loops once there is room again.
    pub(crate) fn await_room(&self) {
        self.hungry.store(true, Ordering::SeqCst);
    }

    /// Hands claimed jobs to the slots; gives back those that may not wait.
    pub(crate) fn offer(&self, station: &Station, jobs: Vec<ClaimedJob>) {
        let many = jobs.len();
        let idle = self.idle.load(Ordering::SeqCst);
        let refused = self.buffer().push(station.index, jobs, idle, self.now());
        self.waiting.add_permits(many - refused.len());
        station.release(refused, self.now());
    }

    /// Waits for the next job; `None` when the worker stops.
    pub(crate) async fn next_job(&self) -> Option<Buffered> {
        loop {
            if let Ok(permit) = self.waiting.try_acquire() {
                permit.forget();
            } else {
                let idle = Idle::begin(&self.idle);
                self.call_if_room();
                let permit = self.waiting.acquire().await;
                drop(idle);
                permit.ok()?.forget();
            }
            let next = self.buffer().pop(self.now());
            self.call_if_room();
            if next.is_some() {
                return next;
            }
        }
    }

    fn call_if_room(&self) {
        if self.hungry.load(Ordering::SeqCst) {
            let buffer = self.buffer();
            let enough = buffer.len() <= buffer.target() / 2;
            drop(buffer);
            if enough && self.hungry.swap(false, Ordering::SeqCst) {
                self.stations.iter().for_each(|station| station.room.notify_one());
            }
        }
    }

    pub(crate) fn learn_run(&self, took: Duration) {
        self.buffer().learn_run(took);
    }

    /// Says what a slot runs, so that it can be interrupted.
    pub(crate) fn occupy(&self, slot: usize, running: Option<Running>) {
        *lock(&self.slots[slot]) = running;
    }

    /// Interrupts a job wherever it is: in the buffer it is settled at once.
    pub(crate) fn cancel(&self, station: &Station, id: JobId) {
        if let Some(job) = self.buffer().remove(station.index, id) {
            let verdict = Verdict::Cancel { reason: "cancelled before it started".into() };
            return station.settle(job.token, verdict, station.lease_end(&job, self.now()));
        }
        self.interrupt(Interruption::Cancelled, |running| {
            running.station == station.index && running.token.job == id
        });
    }

    /// Interrupts all jobs of a backend whose leases are gone.
    pub(crate) fn abandon(&self, station: &Station) {
        self.buffer().drain_station(station.index);
        self.interrupt(Interruption::LeaseLost, |running| running.station == station.index);
    }

    pub(crate) fn interrupt(&self, why: Interruption, wanted: impl Fn(&Running) -> bool) {
        for slot in &self.slots {
            if let Some(running) = &*lock(slot)
                && wanted(running)
            {
                running.interrupt(why);
            }
        }
    }

    /// Gives back what has not started.
    pub(crate) fn release_buffered(&self) {
        for station in &self.stations {
            let jobs = self.buffer().drain_station(station.index);
            station.release(jobs, self.now());
        }
    }

    /// Gives back what has waited far too long, for other workers to start.
    pub(crate) fn release_stale(&self, station: &Station) {
        let jobs = self.buffer().take_stale(station.index, self.now());
        station.release(jobs, self.now());
    }

    /// Ends the slots as they become free.
    pub(crate) fn close_slots(&self) {
        self.waiting.close();
    }

    /// The leases that slots hold, of one backend.
    pub(crate) fn running(&self, station: usize) -> Vec<(Token, crate::JobContext)> {
        let held = |slot: &Mutex<Option<Running>>| {
            let running = lock(slot);
            let running = running.as_ref().filter(|running| running.station == station)?;
            Some((running.token, running.context.clone()))
        };
        self.slots.iter().filter_map(held).collect()
    }

    /// Whether this worker holds any lease of a backend that it knows of.
    pub(crate) fn holds_any(&self, station: &Station) -> bool {
        station.is_claiming()
            || self.buffer().holds(station.index)
            || !station.inbox.is_idle()
            || !self.running(station.index).is_empty()
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        lock(&self.buffer)
    }
}

/// A slot that has nothing to do, for as long as its task is there.
struct Idle<'a>(&'a AtomicUsize);

impl<'a> Idle<'a> {
    fn begin(idle: &'a AtomicUsize) -> Self {
        idle.fetch_add(1, Ordering::SeqCst);
        Self(idle)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    ignore_poison(mutex.lock())
}
