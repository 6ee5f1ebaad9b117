//! Pairs the events of all processes to operations.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use queue_core::{ClaimId, JobId, WorkerId};

use super::event::{Answered, Asked, Event, Lease, Leased};
use crate::child::Line;

/// An operation of a process, with the times of its request and its reply.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// The index of the process in [`Log::processes`].
    pub(crate) process: usize,
    pub(crate) asked_at: Duration,
    pub(crate) asked: Asked,
    /// `None` if the future was dropped, or the process died, before the reply.
    pub(crate) answer: Option<(Duration, Answered)>,
}

impl Operation {
    pub(crate) fn answered(&self) -> Option<&Answered> {
        self.answer.as_ref().map(|(_, answered)| answered)
    }

    /// The leases in the reply, and their claim.
    pub(crate) fn leases(&self) -> Option<(ClaimId, &[Leased])> {
        match (&self.asked, self.answered()?) {
            (Asked::Leases { claim, .. }, Answered::Claimed(jobs)) => Some((*claim, jobs)),
            (
                Asked::Claim(request) | Asked::Insert { claim: Some(request), .. },
                Answered::Claimed(jobs) | Answered::Inserted { claim: Some(Ok(jobs)), .. },
            ) => Some((request.claim, jobs)),
            _ => None,
        }
    }
}

/// The operations and the starts of handlers of several processes.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The names of the processes.
    pub(crate) processes: Vec<String>,
    /// In the order of the requests, for each process.
    pub(crate) operations: Vec<Operation>,
    /// The jobs that handlers started, with their attempts.
    pub(crate) starts: Vec<(JobId, u32)>,
    /// Operations without a reply, by process and number.
    open: HashMap<(usize, u64), usize>,
}

impl Log {
    /// Reads the log of one process from its lines. Ignores lines that are not events.
    pub(crate) fn of(lines: &[Line]) -> Self {
        let mut log = Self::default();
        log.add(String::new(), lines);
        log
    }

    /// Adds a process that has ended.
    pub(super) fn add(&mut self, name: String, lines: &[Line]) {
        let process = self.add_process(name);
        for line in lines {
            if let Some(event) = Event::read(&line.text) {
                self.write(process, line.at, event);
            }
        }
    }

    /// How often each job was or may have been retried by hand.
    pub(crate) fn retries(&self) -> BTreeMap<JobId, u32> {
        let mut retries = BTreeMap::new();
        let requests = self.operations.iter().filter_map(|operation| match &operation.asked {
            Asked::Retry(jobs) => Some(jobs),
            _ => None,
        });
        for job in requests.flatten() {
            *retries.entry(*job).or_default() += 1;
        }
        retries
    }

    pub(super) fn add_process(&mut self, name: String) -> usize {
        self.processes.push(name);
        self.processes.len() - 1
    }

    pub(super) fn write(&mut self, process: usize, at: Duration, event: Event) {
        match event {
            Event::Asked(number, asked) => {
                self.open.insert((process, number), self.operations.len());
                self.operations.push(Operation { process, asked_at: at, asked, answer: None });
            }
            Event::Answered(number, answered) => {
                if let Some(index) = self.open.remove(&(process, number)) {
                    self.operations[index].answer = Some((at, answered));
                }
            }
            Event::Started { job, attempt } => self.starts.push((job, attempt)),
        }
    }

    /// The leases that the processes received and did not settle, as far as they know.
    pub(crate) fn open_leases(&self) -> Vec<Lease> {
        let mut open = Vec::new();
        for operation in &self.operations {
            if let Some((claim, jobs)) = operation.leases() {
                open.extend(jobs.iter().map(|leased| Lease { job: leased.job, claim }));
            }
            if let (Asked::Settle(ends), Some(Answered::Settled(answers))) =
                (&operation.asked, operation.answered())
            {
                let is_over = |lease: &Lease| {
                    let mut ends = ends.iter().zip(answers);
                    ends.any(|(end, answer)| end.lease == *lease && answer.is_ok())
                };
                open.retain(|lease| !is_over(lease));
            }
        }
        open
    }

    /// Whether an insert, a settle or a cancel has no reply.
    pub(crate) fn has_open_write(&self) -> bool {
        self.operations.iter().any(|operation| {
            let asked = &operation.asked;
            let is_write = matches!(asked, Asked::Insert { .. } | Asked::Settle(_) | Asked::Cancel(_));
            is_write && operation.answer.is_none()
        })
    }

    /// The last registered worker.
    pub(crate) fn last_worker(&self) -> Option<WorkerId> {
        self.operations.iter().rev().find_map(|operation| match operation.asked {
            Asked::Register { worker, .. } => Some(worker),
            _ => None,
        })
    }
}
