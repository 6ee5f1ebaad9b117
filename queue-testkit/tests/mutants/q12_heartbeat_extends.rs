//! Q12: a heartbeat does not extend the expiry, revives a lost worker, or returns a wrong reply.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    Beat, HeartbeatReply, HeartbeatRequest, MaintainReply, MaintainRequest, RegisterRequest,
};
use queue_core::{Backend as _, ErrorKind, Result, Timestamp, WorkerId};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q12 lets_heartbeats_extend_nothing => NeverExtends::default(),
    Q12 lets_an_earlier_heartbeat_move_the_expiry_back => MovesExpiryBack::default(),
    Q12 revives_a_lost_worker => RevivesLost,
    Q12 calls_every_heartbeat_punctual => ChangedReply(|reply| reply.beat = Beat::InTime),
    Q12 loses_count_of_the_leases => ChangedReply(|reply| reply.leases /= 2),
    Q12 lets_a_late_worker_rescue => ExpiredWorkerRescues,
}

/// Treats each heartbeat as sent at the registration.
#[derive(Default)]
struct NeverExtends(Mutex<BTreeMap<WorkerId, Option<Timestamp>>>);

#[async_trait]
impl Mutation for NeverExtends {
    async fn register(&self, sound: &Sound, request: RegisterRequest) -> Result<()> {
        self.0.lock().unwrap().entry(request.worker).or_insert(request.now);
        sound.backend.register(request).await
    }

    async fn heartbeat(&self, sound: &Sound, mut request: HeartbeatRequest) -> Result<HeartbeatReply> {
        sound.reached();
        request.now = self.0.lock().unwrap().get(&request.worker).copied().unwrap_or(request.now);
        sound.backend.heartbeat(request).await
    }
}

/// Counts the expiry from the last heartbeat instead of the latest time.
#[derive(Default)]
struct MovesExpiryBack(Mutex<BTreeMap<WorkerId, Seen>>);

#[derive(Clone, Copy)]
struct Seen {
    expiry: Duration,
    expires_at: Timestamp,
    is_moved_back: bool,
}

#[async_trait]
impl Mutation for MovesExpiryBack {
    async fn register(&self, sound: &Sound, request: RegisterRequest) -> Result<()> {
        let expires_at = request.now.unwrap_or_else(Timestamp::now).saturating_add(request.expiry);
        let seen = Seen { expiry: request.expiry, expires_at, is_moved_back: false };
        self.0.lock().unwrap().entry(request.worker).or_insert(seen);
        sound.backend.register(request).await
    }

    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        if let Some(seen) = self.0.lock().unwrap().get_mut(&request.worker) {
            let expires_at = request.now.unwrap_or_else(Timestamp::now).saturating_add(seen.expiry);
            seen.is_moved_back = expires_at < seen.expires_at;
            seen.expires_at = expires_at;
        }
        sound.backend.heartbeat(request).await
    }

    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        let now = request.now.unwrap_or_else(Timestamp::now);
        let is_due = |seen: &Seen| seen.is_moved_back && seen.expires_at <= now;
        if request.rescue > 0 && self.0.lock().unwrap().values().any(is_due) {
            sound.reached();
            request.now = Some(Timestamp::MAX);
        }
        sound.backend.maintain(request).await
    }
}

/// Accepts the heartbeat of a lost worker.
struct RevivesLost;

#[async_trait]
impl Mutation for RevivesLost {
    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        match sound.backend.heartbeat(request).await {
            Err(error) if error.kind() == ErrorKind::WorkerLost => {
                sound.reached();
                Ok(HeartbeatReply::new(Beat::Late, Vec::new(), 0, None))
            }
            answer => answer,
        }
    }
}

struct ChangedReply(fn(&mut HeartbeatReply));

#[async_trait]
impl Mutation for ChangedReply {
    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let mut reply = sound.backend.heartbeat(request).await?;
        let before = reply.clone();
        self.0(&mut reply);
        if reply != before {
            sound.reached();
        }
        Ok(reply)
    }
}

/// Lets an expired worker rescue, so that a clock jump costs other workers their jobs.
struct ExpiredWorkerRescues;

#[async_trait]
impl Mutation for ExpiredWorkerRescues {
    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        if request.worker.take().is_some() {
            sound.reached();
        }
        sound.backend.maintain(request).await
    }
}
