//! The announcements of a transaction: ready jobs, waiting jobs, cancels and ends.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{JobId, JobSpec, QueueName, Timestamp};

/// The maximum number of watched jobs that are named when they end. Their names fit into one
/// notification of PostgreSQL. If there are more, the receiver asks for all jobs that it awaits.
const MAX_FINISHED: usize = 100;

/// Announces jobs of one queue and priority that are ready, or will be ready later.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hint {
    /// Their queue.
    pub queue: QueueName,
    /// Their priority.
    pub priority: i16,
    /// The earliest `run_at` among them, never a later time. A backend may use it to decide where
    /// the next claim of a worker starts.
    pub run_at: Timestamp,
    /// The time until the first of them is due; zero if it is ready now.
    pub due_in: Duration,
}

impl Hint {
    /// Announces jobs that are ready now.
    #[must_use]
    pub const fn new(queue: QueueName, priority: i16, run_at: Timestamp) -> Self {
        Self { queue, priority, run_at, due_in: Duration::ZERO }
    }

    /// Sets the time until the first of the jobs is due.
    #[must_use]
    pub const fn due_in(mut self, due_in: Duration) -> Self {
        self.due_in = due_in;
        self
    }
}

/// The announcements of one transaction. A backend collects them before the commit, and calls
/// [`WakeHub::announce_all`](super::WakeHub::announce_all) after it.
///
/// Hints are merged by queue and priority, so that their number does not grow with the number of
/// jobs. Each queue and priority has one hint for its ready jobs, and one for its waiting jobs.
///
/// ```
/// use queue_core::backend::{Hint, WakeHints, WakeHub};
/// use queue_core::{QueueName, Timestamp};
///
/// let hub = WakeHub::new();
/// let mut receiver = hub.subscribe();
///
/// let mut hints = WakeHints::new();
/// for second in [9, 5, 7] {
///     let run_at = Timestamp::from_micros(second * 1_000_000)?;
///     hints.add(Hint::new(QueueName::default(), 0, run_at));
/// }
/// // … commit …
/// hub.announce_all(&hints);
/// assert_eq!(receiver.take().ready, hints.ready());
/// assert_eq!(hints.ready().len(), 1);
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WakeHints {
    levels: BTreeMap<Level, (Duration, Timestamp)>,
    pub(super) cancels: Vec<JobId>,
    pub(super) finished: Vec<JobId>,
    pub(super) more_finished: bool,
    pub(super) unknown: bool,
}

/// Ready levels sort before waiting levels, because [`WakeHints::ready`] takes the former.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Level {
    is_waiting: bool,
    queue: QueueName,
    priority: i16,
}

impl WakeHints {
    /// No announcements.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the hints for jobs that are inserted at `now`.
    #[must_use]
    pub fn of_inserted<'a>(jobs: impl IntoIterator<Item = &'a JobSpec>, now: Timestamp) -> Self {
        let hint = |job: &JobSpec| {
            let run_at = job.run_at.unwrap_or(now);
            Hint::new(job.queue.clone(), job.priority, run_at).due_in(now.until(run_at))
        };
        jobs.into_iter().map(hint).collect()
    }

    /// Adds a hint.
    pub fn add(&mut self, hint: Hint) {
        let Hint { queue, priority, run_at, due_in } = hint;
        let level = Level { is_waiting: !due_in.is_zero(), queue, priority };
        let first = self.levels.entry(level).or_insert((due_in, run_at));
        *first = (due_in.min(first.0), run_at.min(first.1));
    }

    /// Adds a running job whose cancel was requested.
    pub fn add_cancel(&mut self, job: JobId) {
        self.cancels.push(job);
    }

    /// Adds a [watched](super::Watch::watch) job that has ended.
    pub fn add_finished(&mut self, job: JobId) {
        if self.finished.len() < MAX_FINISHED {
            self.finished.push(job);
        } else {
            self.more_finished = true;
        }
    }

    /// Announces that watched jobs have ended that are not named.
    pub fn add_more_finished(&mut self) {
        self.more_finished = true;
    }

    /// Announces an unknown change: every worker must look for ready jobs and cancels.
    pub fn add_unknown(&mut self) {
        self.unknown = true;
    }

    /// Adds the announcements of another transaction.
    pub fn append(&mut self, other: &Self) {
        self.append_jobs(other);
        self.append_ends(other);
    }

    /// Adds the announcements that concern workers.
    pub(super) fn append_jobs(&mut self, other: &Self) {
        self.extend(other.hints());
        self.cancels.extend_from_slice(&other.cancels);
        self.unknown |= other.unknown;
    }

    /// Adds the announcements that concern callers that wait for jobs.
    pub(super) fn append_ends(&mut self, other: &Self) {
        other.finished.iter().for_each(|job| self.add_finished(*job));
        self.more_finished |= other.more_finished;
        self.unknown |= other.unknown;
    }

    /// Returns whether there is nothing to announce.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.concerns_workers() && !self.concerns_waiters()
    }

    pub(super) fn concerns_workers(&self) -> bool {
        !self.levels.is_empty() || !self.cancels.is_empty() || self.unknown
    }

    pub(super) const fn concerns_waiters(&self) -> bool {
        !self.finished.is_empty() || self.more_finished || self.unknown
    }

    /// Returns one hint per queue and priority with ready jobs, for
    /// [`MaintainReply::ready`](super::MaintainReply::ready).
    #[must_use]
    pub fn ready(&self) -> Vec<Hint> {
        self.hints().take_while(|hint| hint.due_in.is_zero()).collect()
    }

    /// Returns the hints of ready jobs, then the hints of waiting jobs.
    pub fn hints(&self) -> impl Iterator<Item = Hint> + '_ {
        self.levels.iter().map(|(level, &(due_in, run_at))| {
            Hint::new(level.queue.clone(), level.priority, run_at).due_in(due_in)
        })
    }

    /// Returns the running jobs whose cancel was requested.
    #[must_use]
    pub fn cancels(&self) -> &[JobId] {
        &self.cancels
    }

    /// Returns the watched jobs that have ended.
    #[must_use]
    pub fn finished(&self) -> &[JobId] {
        &self.finished
    }

    /// Returns whether watched jobs have ended that are not named.
    #[must_use]
    pub const fn has_more_finished(&self) -> bool {
        self.more_finished
    }

    /// Returns whether an unknown change is announced.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        self.unknown
    }
}

impl Extend<Hint> for WakeHints {
    fn extend<I: IntoIterator<Item = Hint>>(&mut self, hints: I) {
        hints.into_iter().for_each(|hint| self.add(hint));
    }
}

impl FromIterator<Hint> for WakeHints {
    fn from_iter<I: IntoIterator<Item = Hint>>(hints: I) -> Self {
        let mut all = Self::new();
        all.extend(hints);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Payload};

    fn hint(priority: i16, run_at: i64, due_in: u64) -> Hint {
        let run_at = Timestamp::from_micros(run_at).unwrap();
        Hint::new(QueueName::default(), priority, run_at).due_in(Duration::from_micros(due_in))
    }

    #[test]
    fn hints_merge_to_the_first_of_each_level() {
        let hints = [hint(1, 8, 0), hint(0, 7, 0), hint(0, 90, 40), hint(0, 5, 0), hint(0, 80, 30)];
        let hints = WakeHints::from_iter(hints);
        assert_eq!(hints.ready(), [hint(0, 5, 0), hint(1, 8, 0)]);
        assert!(hints.hints().eq([hint(0, 5, 0), hint(1, 8, 0), hint(0, 80, 30)]));
    }

    #[test]
    fn inserted_jobs_are_ready_or_wait() {
        let now = Timestamp::from_micros(5).unwrap();
        let job = || JobSpec::new(JobId::generate(), Kind::new("a").unwrap(), Payload::from_stored("1"));
        let later = job().run_at(Timestamp::from_micros(9).unwrap());
        let hints = WakeHints::of_inserted(&[later, job()], now);
        assert!(hints.hints().eq([hint(0, 5, 0), hint(0, 9, 4)]));
    }

    #[test]
    fn append_keeps_all_announcements() {
        let mut hints = WakeHints::from_iter([hint(0, 5, 0)]);
        let mut more = WakeHints::from_iter([hint(0, 3, 0)]);
        let job = JobId::generate();
        more.add_cancel(job);
        more.add_finished(job);
        more.add_unknown();
        assert!(WakeHints::new().is_empty() && !more.is_empty());
        hints.append(&more);
        assert_eq!(hints.ready(), [hint(0, 3, 0)]);
        assert_eq!((hints.cancels(), hints.is_unknown()), (&[job][..], true));
        assert_eq!((hints.finished(), hints.has_more_finished()), (&[job][..], false));
    }

    #[test]
    fn many_ends_are_not_named() {
        let mut hints = WakeHints::new();
        (0..=MAX_FINISHED).for_each(|_| hints.add_finished(JobId::generate()));
        assert_eq!((hints.finished().len(), hints.has_more_finished()), (MAX_FINISHED, true));
    }
}
