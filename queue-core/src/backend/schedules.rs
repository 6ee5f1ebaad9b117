//! Schedules: rows that say when jobs are to be inserted.

use std::time::Duration;

use async_trait::async_trait;

use crate::{JobSpec, Result, ScheduleName, Submitted, Timestamp};

/// Stores schedules, and inserts their jobs in the transaction that moves them on.
///
/// A backend finds schedules that are due. It changes a schedule only if no other program did so
/// meanwhile. It does not read their texts. The queue computes the next slot, and decides which
/// slots fire.
///
/// Any worker fires. It asks for the schedules that are [`due`](Self::due), and sends a
/// [`change`](Self::change) of each, with the job. Of several workers that do the same, the first
/// succeeds, because its change gives the schedule a new [version](ScheduleVersion).
///
/// An idle worker asks once per upkeep. So `due` must cost little, regardless of the number of
/// schedules.
#[async_trait]
pub trait ScheduleStore: Send + Sync {
    /// Returns schedules whose `due_at` is not after `now`, the earliest first, and of the same
    /// time in the order of their names.
    ///
    /// # To be correct
    /// - The `now` of the reply is that of the request, or the time of the backend's clock at which
    ///   it looked.
    /// - The `next_due` of the reply is the time until the first `due_at` after those of the reply.
    ///   It is zero while more schedules are due, and `None` if no other schedule has a `due_at`.
    async fn due(&self, request: DueSchedulesRequest) -> Result<DueSchedulesReply>;

    /// Creates, changes and deletes schedules, and inserts jobs with them. Each change has its own
    /// result; results are in request order. A name is in a request at most once.
    ///
    /// # To be correct
    /// - A change happens only if the schedule has the `expected` version, or does not exist yet if
    ///   the change creates it. Otherwise its result is [`Stale`](ScheduleChanged::Stale), and
    ///   neither the schedule nor a job is stored. Of concurrent changes that expect the same
    ///   version, one at most happens.
    /// - A change that would have to wait for another transaction may be `Stale` too.
    /// - The schedule and the jobs of a change are stored in one transaction, or neither is.
    /// - A job whose id is stored already, with whatever content and in whatever state, is not
    ///   stored again: it is [`Known`](crate::Insertion::Known). One whose
    ///   [unique key](JobSpec::unique) another job holds is
    ///   [`Duplicate`](crate::Insertion::Duplicate), as in an [insert](super::Backend::insert). The
    ///   others of the change are stored.
    /// - The new jobs are announced after the commit, as those of an insert.
    /// - Texts are returned byte for byte.
    /// - A change that will always fail gets a [final](crate::ErrorKind::is_final) error of its
    ///   own. The other changes of the request are not affected.
    ///
    /// # Errors
    /// The outer error concerns the whole request, and means that nothing was changed. After an
    /// unknown outcome, the same request may be repeated: a change that happened is `Stale` then.
    async fn change(&self, request: ChangeSchedulesRequest) -> Result<Vec<Result<ScheduleChanged>>>;

    /// Returns schedules by name, in the order of the request; `None` for one that does not exist.
    async fn get(&self, names: &[ScheduleName]) -> Result<Vec<Option<StoredSchedule>>>;

    /// Returns up to `limit` schedules in the order of their names, from the first name after
    /// `after`. Names are ordered by their bytes.
    async fn list(&self, after: Option<&ScheduleName>, limit: u32) -> Result<Vec<StoredSchedule>>;
}

/// The id of the change that wrote a schedule: 128 random bits.
///
/// Because it is random, a schedule that was deleted and created again does not have a version of
/// before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleVersion([u8; 16]);

impl ScheduleVersion {
    /// Creates a version from its 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the 16 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Returns a new version from the random source of the operating system.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the operating system returns no random
    /// bytes.
    pub fn generate() -> Result<Self> {
        Ok(Self(crate::ClaimId::generate()?.to_bytes()))
    }
}

/// A schedule as a backend stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredSchedule {
    /// Its name.
    pub name: ScheduleName,
    /// The change that wrote it.
    pub version: ScheduleVersion,
    /// When a worker must look at it; `None` means never.
    pub due_at: Option<Timestamp>,
    /// What it inserts, and when: a JSON text of the queue, which operators can read. It changes
    /// rarely, and contains the payload.
    pub definition: String,
    /// How far it is: a JSON text of the queue, which changes with each fire.
    pub state: String,
}

impl StoredSchedule {
    /// Creates a schedule that is never due.
    #[must_use]
    pub const fn new(
        name: ScheduleName,
        version: ScheduleVersion,
        definition: String,
        state: String,
    ) -> Self {
        Self { name, version, due_at: None, definition, state }
    }

    /// Sets when a worker must look at it.
    #[must_use]
    pub fn due_at(mut self, due_at: impl Into<Option<Timestamp>>) -> Self {
        self.due_at = due_at.into();
        self
    }
}

/// A request for the schedules that are due.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DueSchedulesRequest {
    /// The time of the request; `None` means the backend's clock.
    pub now: Option<Timestamp>,
    /// The maximum number of schedules to return.
    pub limit: u32,
}

impl DueSchedulesRequest {
    /// Asks by the backend's clock.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self { now: None, limit }
    }

    /// Sets the time of the request.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// The schedules that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DueSchedulesReply {
    /// The schedules, the earliest first.
    pub schedules: Vec<StoredSchedule>,
    /// The time at which the backend looked. The queue computes fires from it, and never from its
    /// own clock.
    pub now: Timestamp,
    /// The time until the first of the other schedules is due.
    pub next_due: Option<Duration>,
}

impl DueSchedulesReply {
    /// Creates a reply.
    #[must_use]
    pub const fn new(schedules: Vec<StoredSchedule>, now: Timestamp, next_due: Option<Duration>) -> Self {
        Self { schedules, now, next_due }
    }
}

/// A request to change schedules.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChangeSchedulesRequest {
    /// The time of the request; `None` means the backend's clock.
    pub now: Option<Timestamp>,
    /// The changes, each of another schedule.
    pub changes: Vec<ScheduleChange>,
}

impl ChangeSchedulesRequest {
    /// A request by the backend's clock.
    #[must_use]
    pub const fn new(changes: Vec<ScheduleChange>) -> Self {
        Self { now: None, changes }
    }

    /// Sets the time of the request.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// A change of one schedule, with jobs to store in the same transaction.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScheduleChange {
    /// The change of the row.
    pub write: ScheduleWrite,
    /// The jobs, with different ids.
    pub jobs: Vec<JobSpec>,
}

/// The change of the row of a schedule.
#[derive(Debug, Clone)]
pub enum ScheduleWrite {
    /// It is created. There must be none of its name.
    Create(StoredSchedule),
    /// It is replaced by one of the same name.
    Replace {
        /// The version that it must have.
        expected: ScheduleVersion,
        /// What it becomes.
        schedule: StoredSchedule,
    },
    /// It is deleted.
    Delete {
        /// The version that it must have.
        expected: ScheduleVersion,
        /// Its name.
        name: ScheduleName,
    },
}

impl ScheduleChange {
    /// Creates a schedule.
    #[must_use]
    pub const fn create(schedule: StoredSchedule) -> Self {
        Self { write: ScheduleWrite::Create(schedule), jobs: Vec::new() }
    }

    /// Replaces a schedule that has this version.
    #[must_use]
    pub const fn replace(expected: ScheduleVersion, schedule: StoredSchedule) -> Self {
        Self { write: ScheduleWrite::Replace { expected, schedule }, jobs: Vec::new() }
    }

    /// Deletes a schedule that has this version.
    #[must_use]
    pub const fn delete(name: ScheduleName, expected: ScheduleVersion) -> Self {
        Self { write: ScheduleWrite::Delete { expected, name }, jobs: Vec::new() }
    }

    /// Sets the jobs to store in the same transaction.
    #[must_use]
    pub fn jobs(mut self, jobs: Vec<JobSpec>) -> Self {
        self.jobs = jobs;
        self
    }

    /// Returns the name of the schedule.
    #[must_use]
    pub const fn name(&self) -> &ScheduleName {
        match &self.write {
            ScheduleWrite::Create(schedule) | ScheduleWrite::Replace { schedule, .. } => &schedule.name,
            ScheduleWrite::Delete { name, .. } => name,
        }
    }

    /// Returns the version that the schedule must have; `None` if it must not exist.
    #[must_use]
    pub const fn expected(&self) -> Option<ScheduleVersion> {
        match &self.write {
            ScheduleWrite::Create(_) => None,
            ScheduleWrite::Replace { expected, .. } | ScheduleWrite::Delete { expected, .. } => {
                Some(*expected)
            }
        }
    }

    /// Returns what the schedule becomes; `None` if it is deleted.
    #[must_use]
    pub const fn schedule(&self) -> Option<&StoredSchedule> {
        match &self.write {
            ScheduleWrite::Create(schedule) | ScheduleWrite::Replace { schedule, .. } => Some(schedule),
            ScheduleWrite::Delete { .. } => None,
        }
    }
}

/// The result of a change of one schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleChanged {
    /// The change happened. There is one entry per job, in their order.
    Done(Vec<Submitted>),
    /// Nothing happened, because the schedule has another version, does not exist, or exists
    /// although the change creates it.
    Stale,
}
