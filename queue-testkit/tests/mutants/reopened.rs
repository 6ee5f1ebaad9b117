//! What a handle forgets of what an earlier one has stored. Each handle but the first of a storage
//! is one of a program that was started again.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    Beat, ClaimReply, ClaimRequest, HeartbeatReply, HeartbeatRequest, Inspect as _, JobRecord, MaintainReply,
    MaintainRequest, Manage as _, RegisterRequest,
};
use queue_core::{Backend as _, ErrorKind, JobId, QueueName, Result, WorkerId};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q9 forgets_signals => Forgets::new(Fault::Signals),
    Q12 forgets_that_workers_were_lost => Forgets::new(Fault::LostWorkers),
    Q12 forgets_the_ids_of_lost_workers => Forgets::new(Fault::LostIds),
    Q12 forgets_the_expiries_of_workers => Forgets::new(Fault::Expiries),
    Q17 forgets_pauses => Forgets::new(Fault::Pauses),
    Q20 forgets_attributes => Forgets::new(Fault::Attributes),
    Q20 forgets_backoffs => Forgets::new(Fault::Backoffs),
    Q20 forgets_progress => Forgets::new(Fault::Progress),
    Q20 forgets_the_errors_of_attempts => Forgets::new(Fault::Errors),
    Q20 forgets_the_microseconds_of_inserts => Forgets::new(Fault::Microseconds),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Signals,
    LostWorkers,
    LostIds,
    Expiries,
    Pauses,
    Attributes,
    Backoffs,
    Progress,
    Errors,
    Microseconds,
}

struct Forgets {
    fault: Fault,
    /// Workers whose short expiry was forgotten.
    beaten: Mutex<BTreeSet<WorkerId>>,
}

impl Forgets {
    fn new(fault: Fault) -> Self {
        Self { fault, beaten: Mutex::default() }
    }

    /// Whether this handle has the fault.
    fn has(&self, sound: &Sound, fault: Fault) -> bool {
        let has = self.fault == fault && sound.handle > 0;
        if has {
            sound.reached();
        }
        has
    }
}

#[async_trait]
impl Mutation for Forgets {
    async fn register(&self, sound: &Sound, request: RegisterRequest) -> Result<()> {
        match sound.backend.register(request).await {
            Err(error) if error.kind() == ErrorKind::Conflict && self.has(sound, Fault::LostIds) => Ok(()),
            reply => reply,
        }
    }

    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let worker = request.worker;
        match sound.backend.heartbeat(request).await {
            Err(error) if error.kind() == ErrorKind::WorkerLost && self.has(sound, Fault::LostWorkers) => {
                Ok(HeartbeatReply::new(Beat::InTime, Vec::new(), 0, None))
            }
            Ok(mut reply) => {
                if self.has(sound, Fault::Signals) {
                    reply.cancels.clear();
                }
                if self.has(sound, Fault::Expiries) {
                    self.beaten.lock().unwrap().insert(worker);
                }
                Ok(reply)
            }
            reply => reply,
        }
    }

    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        // Workers that have sent a heartbeat expire far too late.
        if request.rescue > 0 && !self.beaten.lock().unwrap().is_empty() {
            request.now = request.now.map(|now| now.saturating_sub(Duration::from_secs(7200)));
        }
        sound.backend.maintain(request).await
    }

    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        if self.fault != Fault::Pauses || sound.handle == 0 {
            return sound.backend.claim(request).await;
        }
        let is_paused = sound.backend.paused().await?.contains(&request.queue);
        if !is_paused {
            return sound.backend.claim(request).await;
        }
        sound.reached();
        let queue = request.queue.clone();
        sound.backend.resume(&queue).await?;
        let reply = sound.backend.claim(request).await;
        sound.backend.pause(&queue).await?;
        reply
    }

    async fn paused(&self, sound: &Sound) -> Result<Vec<QueueName>> {
        if self.has(sound, Fault::Pauses) { Ok(Vec::new()) } else { sound.backend.paused().await }
    }

    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = sound.backend.jobs(ids).await?;
        for record in records.iter_mut().flatten() {
            if sound.handle == 0 {
                continue;
            }
            match self.fault {
                Fault::Attributes => record.job.attributes = None,
                Fault::Backoffs => record.job.backoff = None,
                Fault::Progress => record.progress = None,
                Fault::Errors => record.errors.clear(),
                Fault::Microseconds => {
                    let micros = u64::try_from(record.created_at.as_micros() % 1_000_000).unwrap();
                    record.created_at = record.created_at.saturating_sub(Duration::from_micros(micros));
                }
                _ => continue,
            }
            sound.reached();
        }
        Ok(records)
    }
}
