//! A builder for the jobs of cases.

use std::time::Duration;

use queue_core::{JobId, JobSpec, Kind, Payload, QueueName, Timestamp};

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

    /// Builds the job for the backend.
    pub(crate) fn build(self) -> queue_core::Result<JobSpec> {
        Ok(JobSpec::new(self.id, Kind::new(self.kind)?, Payload::json(self.payload)?)
            .run_at(self.run_at)
            .max_retries(self.max_retries)
            .priority(self.priority)
            .timeout(self.timeout)
            .queue(QueueName::new(self.queue)?))
    }
}
