//! Limits that are used up by rows which do not count, and upkeep that does not go on.

use async_trait::async_trait;
use queue_core::backend::{MaintainReply, MaintainRequest};
use queue_core::{Backend as _, JobId, JobState, Result, Timestamp};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q8 counts_kept_jobs_in_the_limit_of_a_prune => Counts(Part::Prune),
    Q11 counts_workers_without_leases_in_the_limit_of_a_rescue => Counts(Part::Rescue),
    Q14 counts_later_jobs_in_the_limit_of_a_promotion => Counts(Part::Promotion),
    Q8 prunes_nothing_in_a_handle_that_was_opened_again => Stops(Part::Prune),
    Q11 rescues_nothing_in_a_handle_that_was_opened_again => Stops(Part::Rescue),
    Q14 promotes_nothing_in_a_handle_that_was_opened_again => Stops(Part::Promotion),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Prune,
    Rescue,
    Promotion,
}

/// Reads as many rows as the limit of one part, and takes those among them that count.
struct Counts(Part);

/// The limit without the rows that do not count.
fn without(sound: &Sound, limit: u32, rows: usize) -> u32 {
    if rows > 0 && limit > 0 {
        sound.reached();
    }
    limit.saturating_sub(u32::try_from(rows).unwrap_or(u32::MAX))
}

#[async_trait]
impl Mutation for Counts {
    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        let now = request.now.unwrap_or_else(Timestamp::now);
        let stored = sound.stored().await;
        match (self.0, &mut request.prune) {
            (Part::Prune, Some(prune)) => {
                let oldest_kept = JobId::least_at(now.saturating_sub(prune.idempotency_window));
                let kept = stored.outcomes.iter().filter(|row| row.id >= oldest_kept).count();
                prune.limit = without(sound, prune.limit, kept);
            }
            (Part::Rescue, _) => {
                let holds = |worker| stored.live.iter().any(|row| row.worker == Some(worker));
                let idle = stored.workers.iter().filter(|worker| !holds(**worker)).count();
                request.rescue = without(sound, request.rescue, idle);
            }
            (Part::Promotion, _) => {
                let is_waiting = |state| matches!(state, JobState::Scheduled | JobState::Retrying);
                let later = stored.live.iter().filter(|row| is_waiting(row.state) && row.run_at > now);
                request.promote = without(sound, request.promote, later.count());
            }
            (Part::Prune, None) => {}
        }
        sound.backend.maintain(request).await
    }
}

/// Remembers where one part stopped, and looks only behind that place when it is opened again.
struct Stops(Part);

#[async_trait]
impl Mutation for Stops {
    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        if sound.handle > 0 {
            sound.reached();
            match self.0 {
                Part::Prune => request.prune = None,
                Part::Rescue => request.rescue = 0,
                Part::Promotion => request.promote = 0,
            }
        }
        sound.backend.maintain(request).await
    }
}
