//! A builder for the jobs of cases.

use std::time::Duration;

use queue_core::{JobId, JobSpec, Kind, Payload, QueueName, Timestamp, UniqueKey};

/// A job in the default queue, due at once, with priority 0, 3 retries and a timeout of one minute,
/// unless the case sets otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    id: JobId,
    kind: &'static str,
    queue: &'static str,
    payload: String,
    priority: i16,
    max_retries: u16,
    run_at: Option<Timestamp>,
    timeout: Duration,
    unique: Option<(String, Duration)>,
}

impl Spec {
    pub(crate) fn new(id: JobId, kind: &'static str) -> Self {
        Self {
            id,
            kind,
            queue: "default",
            payload: "{}".to_owned(),
            priority: 0,
            max_retries: 3,
            run_at: None,
            timeout: Duration::from_secs(60),
            unique: None,
        }
    }

    pub(crate) fn id(mut self, id: JobId) -> Self {
        self.id = id;
        self
    }

    pub(crate) fn queue(mut self, queue: &'static str) -> Self {
        self.queue = queue;
        self
    }

    pub(crate) fn payload(mut self, json: impl Into<String>) -> Self {
        self.payload = json.into();
        self
    }

    pub(crate) fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    pub(crate) fn max_retries(mut self, retries: u16) -> Self {
        self.max_retries = retries;
        self
    }

    pub(crate) fn run_at(mut self, time: Timestamp) -> Self {
        self.run_at = Some(time);
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the unique key, which no completed job holds.
    pub(crate) fn unique(self, key: impl Into<String>) -> Self {
        self.unique_for(key, Duration::ZERO)
    }

    /// Sets the unique key, and how long a completed job holds it.
    pub(crate) fn unique_for(mut self, key: impl Into<String>, keep: Duration) -> Self {
        self.unique = Some((key.into(), keep));
        self
    }

    /// Builds the job for the backend.
    pub(crate) fn build(self) -> queue_core::Result<JobSpec> {
        let unique = self.unique.map(|(key, keep)| UniqueKey::new(key, keep)).transpose()?;
        Ok(JobSpec::new(self.id, Kind::new(self.kind)?, Payload::json(self.payload)?)
            .unique(unique)
            .run_at(self.run_at)
            .max_retries(self.max_retries)
            .priority(self.priority)
            .timeout(self.timeout)
            .queue(QueueName::new(self.queue)?))
    }
}
