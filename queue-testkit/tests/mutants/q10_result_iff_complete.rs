//! Q10: a result where there should be none, none where there should be one, or another's.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use queue_core::backend::{Completion, JobRecord, SettleRequest, Settled, Verdict};
use queue_core::{Backend as _, JobId, Result, State};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q10 keeps_the_result_that_came_last => KeepsTheLast::default(),
    Q10 shows_a_result_of_a_retried_job => ShowsWhileRetrying,
    Q10 swaps_the_results_of_a_request => Swaps,
    Q10 takes_an_empty_result_for_none => TakesEmptyForNone,
}

/// Whoever brings a result overwrites it, and be its lease lost.
#[derive(Default)]
struct KeepsTheLast(Mutex<BTreeMap<JobId, Vec<u8>>>);

#[async_trait]
impl Mutation for KeepsTheLast {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &request.settlements {
            if let Verdict::Complete(Completion { result: Some(result), .. }) = &settlement.verdict {
                self.0.lock().unwrap().insert(settlement.token.job, result.clone());
            }
        }
        sound.backend.settle(request).await
    }

    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = Vec::new();
        for id in ids {
            let mut record = sound.record(*id).await;
            let last = self.0.lock().unwrap().get(id).cloned();
            if let Some(record) = record.as_mut()
                && last.is_some()
                && record.result != last
            {
                sound.reached();
                record.result = last;
            }
            records.push(record);
        }
        Ok(records)
    }
}

struct ShowsWhileRetrying;

#[async_trait]
impl Mutation for ShowsWhileRetrying {
    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = Vec::new();
        for id in ids {
            let mut record = sound.record(*id).await;
            if let Some(record) = record.as_mut().filter(|record| record.state == State::Retrying) {
                sound.reached();
                record.result = Some(b"half of it".to_vec());
            }
            records.push(record);
        }
        Ok(records)
    }
}

/// Rows of two lists that are joined by their place.
struct Swaps;

#[async_trait]
impl Mutation for Swaps {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let results = request.settlements.iter_mut().filter_map(|settlement| match &mut settlement.verdict {
            Verdict::Complete(Completion { result, .. }) => Some(result),
            _ => None,
        });
        let mut results: Vec<_> = results.collect();
        if let [first, .., last] = results.as_mut_slice() {
            sound.reached();
            std::mem::swap(*first, *last);
        }
        sound.backend.settle(request).await
    }
}

struct TakesEmptyForNone;

#[async_trait]
impl Mutation for TakesEmptyForNone {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &mut request.settlements {
            if let Verdict::Complete(Completion { result, .. }) = &mut settlement.verdict
                && result.as_ref().is_some_and(Vec::is_empty)
            {
                sound.reached();
                *result = None;
            }
        }
        sound.backend.settle(request).await
    }
}
