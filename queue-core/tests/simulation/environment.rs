//! A simulated environment: a virtual clock, and a seed that decides which task is polled next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use queue_core::Timestamp;
use queue_core::backend::ignore_poison;
use queue_core::runtime::{Environment, EnvironmentFuture, Place};

/// A run that takes longer than this in virtual time counts as hung.
const HANGS_AFTER: Duration = Duration::from_secs(3600);

#[derive(Default)]
struct State {
    now: Duration,
    random: u64,
    next: u64,
    tasks: BTreeMap<u64, (u32, EnvironmentFuture)>,
    ready: BTreeSet<u64>,
    /// Processes that are stopped, and their tasks that were woken since.
    stopped: BTreeSet<u32>,
    held_back: BTreeSet<u64>,
    trace: u64,
    timers: BTreeMap<(Duration, u64), Waker>,
}

/// The simulation. Clones are the same simulation.
#[derive(Clone)]
pub(crate) struct World {
    start: Instant,
    state: Arc<Mutex<State>>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State { random: seed.wrapping_mul(2).wrapping_add(1), ..State::default() };
        Self { start: Instant::now(), state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Because a run that panics while it holds the lock drops its timers, which need the lock.
        ignore_poison(self.state.lock())
    }

    /// The time of the storage, by the virtual clock.
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).unwrap().saturating_add(self.state().now)
    }

    /// A random number below `bound`; xorshift64*, from Marsaglia's "Xorshift RNGs".
    pub(crate) fn random_below(&self, bound: u64) -> u64 {
        let mut state = self.state();
        state.random ^= state.random >> 12;
        state.random ^= state.random << 25;
        state.random ^= state.random >> 27;
        state.random.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }

    /// The environment of one process.
    pub(crate) fn process(&self, id: u32) -> Arc<dyn Environment> {
        Arc::new(Process { world: self.clone(), id })
    }

    /// Kills a process: drops its tasks at once.
    pub(crate) fn kill(&self, process: u32) {
        let mut state = self.state();
        let ids: Vec<u64> =
            state.tasks.iter().filter(|(_, (owner, _))| *owner == process).map(|(id, _)| *id).collect();
        let killed: Vec<_> = ids.iter().filter_map(|id| state.tasks.remove(id)).collect();
        drop(state);
        drop(killed);
    }

    /// Stops a process, as SIGSTOP does. Its sent requests continue.
    pub(crate) fn stop(&self, process: u32) {
        self.state().stopped.insert(process);
    }

    /// Continues a process, as SIGCONT does.
    pub(crate) fn resume(&self, process: u32) {
        let mut state = self.state();
        state.stopped.remove(&process);
        let tasks = std::mem::take(&mut state.held_back);
        state.ready.extend(tasks);
    }

    /// A hash over the task and the time of each step, which differs between runs that differ.
    pub(crate) fn trace(&self) -> u64 {
        self.state().trace
    }

    pub(crate) fn sleep(&self, duration: Duration) -> EnvironmentFuture {
        let mut state = self.state();
        state.next += 1;
        let timer = (state.now.saturating_add(duration), state.next);
        drop(state);
        Box::pin(Sleep { world: self.clone(), timer })
    }

    /// Polls all tasks until this future has ended.
    pub(crate) fn run<T: Send + 'static>(&self, main: impl Future<Output = T> + Send + 'static) -> T {
        let result = Arc::new(Mutex::new(None));
        let output = Arc::clone(&result);
        self.spawn(0, Box::pin(async move { *output.lock().unwrap() = Some(main.await) }));
        loop {
            if let Some(value) = result.lock().unwrap().take() {
                self.end();
                return value;
            }
            self.step();
        }
    }

    /// Drops the remaining tasks and timers. Otherwise they would leak, because tasks and timers
    /// hold the simulation that holds them, and there are thousands of simulations.
    fn end(&self) {
        let mut state = self.state();
        let left = (std::mem::take(&mut state.tasks), std::mem::take(&mut state.timers));
        drop(state);
        drop(left);
    }

    pub(crate) fn spawn(&self, process: u32, task: EnvironmentFuture) {
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        state.tasks.insert(id, (process, task));
        state.ready.insert(id);
    }

    fn step(&self) {
        let many = self.state().ready.len() as u64;
        if many == 0 {
            return self.advance();
        }
        let pick = self.random_below(many) as usize;
        let (id, taken) = {
            let mut state = self.state();
            // By number, because the order in which tasks were woken does not depend on the seed
            // alone.
            let Some(id) = state.ready.iter().nth(pick).copied() else { return };
            state.ready.remove(&id);
            let owner = state.tasks.get(&id).map(|(owner, _)| *owner);
            if owner.is_some_and(|owner| state.stopped.contains(&owner)) {
                state.held_back.insert(id);
                return;
            }
            (id, state.tasks.remove(&id))
        };
        let Some((process, mut task)) = taken else { return };
        self.note(id);
        let waker = Waker::from(Arc::new(TaskWaker { world: self.clone(), id }));
        if Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending() {
            self.state().tasks.insert(id, (process, task));
        }
    }

    /// FNV-1a, by Fowler, Noll and Vo.
    fn note(&self, task: u64) {
        let mut state = self.state();
        let now = state.now.as_micros() as u64;
        for byte in [task, now].into_iter().flat_map(u64::to_le_bytes) {
            state.trace = (state.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn advance(&self) {
        let mut state = self.state();
        let ((at, _), waker) = state.timers.pop_first().expect("no task is ready and no timer is set");
        assert!(at < HANGS_AFTER, "the run hangs");
        state.now = state.now.max(at);
        drop(state);
        waker.wake();
    }
}

/// A wait with one timer, however often it is polled. Otherwise each needless wake of its task
/// would leave another timer.
struct Sleep {
    world: World,
    timer: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.world.state();
        if state.now >= self.timer.0 {
            return Poll::Ready(());
        }
        let replaced = state.timers.insert(self.timer, cx.waker().clone());
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let removed = self.world.state().timers.remove(&self.timer);
        drop(removed);
    }
}

struct TaskWaker {
    world: World,
    id: u64,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut state = self.world.state();
        if !state.held_back.contains(&self.id) {
            state.ready.insert(self.id);
        }
    }
}

struct Process {
    world: World,
    id: u32,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({})", self.id)
    }
}

impl Environment for Process {
    fn now(&self) -> Instant {
        self.world.start + self.world.state().now
    }

    fn sleep(&self, duration: Duration) -> EnvironmentFuture {
        self.world.sleep(duration)
    }

    fn random(&self) -> u64 {
        self.world.random_below(u64::MAX)
    }

    fn spawn(&self, _place: Place, task: EnvironmentFuture) {
        self.world.spawn(self.id, task);
    }
}
