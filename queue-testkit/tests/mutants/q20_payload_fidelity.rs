//! Q20: the backend changes stored values.

use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, Completion, InsertReply, InsertRequest, SettleRequest, Settled, Verdict,
};
use queue_core::{Attributes, Backend as _, JobSpec, Kind, Payload, QueueName, Result, Timestamp};
use serde_json::Value;

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q20 orders_the_keys_of_payloads => ChangedJob(|spec| {
        if let Ok(value) = serde_json::from_str::<Value>(spec.payload.as_str()) {
            spec.payload = Payload::from_stored(value.to_string());
        }
    }),
    Q20 trims_payloads => ChangedJob(|spec| spec.payload = Payload::from_stored(spec.payload.as_str().trim())),
    Q20 removes_escaped_nuls => ChangedJob(|spec| {
        spec.payload = Payload::from_stored(spec.payload.as_str().replace("\\u0000", ""));
    }),
    Q20 rounds_times_to_milliseconds => ChangedJob(|spec| {
        let round = |time: Timestamp| time.saturating_sub(Duration::from_micros(time.as_micros().unsigned_abs() % 1000));
        spec.run_at = spec.run_at.map(round);
    }),
    Q20 loses_attributes => ChangedJob(|spec| spec.attributes = None),
    Q20 orders_the_keys_of_attributes => ChangedJob(|spec| {
        if let Some(Ok(value)) = spec.attributes.as_ref().map(Attributes::decode::<Value>) {
            spec.attributes = Some(Attributes::from_stored(value.to_string()));
        }
    }),
    Q20 folds_the_case_of_names => FoldsCase,
    Q20 cuts_results_at_a_nul => ChangedVerdict(|verdict| {
        if let Verdict::Complete(Completion { result: Some(result), .. }) = verdict
            && let Some(nul) = result.iter().position(|byte| *byte == 0)
        {
            result.truncate(nul);
        }
    }),
    Q20 rounds_durations_of_attempts_to_seconds => RoundsDurations,
    Q20 cuts_the_texts_of_errors => ChangedVerdict(|verdict| {
        if let Verdict::Retry { error: text, .. } | Verdict::Bury { error: text } | Verdict::Cancel { reason: text } = verdict
        {
            *text = text.chars().take(255).collect();
        }
    }),
}

/// Changes a job before it is stored.
struct ChangedJob(fn(&mut JobSpec));

#[async_trait]
impl Mutation for ChangedJob {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        for spec in request.batches.iter_mut().flatten() {
            let before = spec.clone();
            self.0(spec);
            if *spec != before {
                sound.reached();
            }
        }
        sound.backend.insert(request).await
    }
}

/// Changes a verdict before it is stored.
struct ChangedVerdict(fn(&mut Verdict));

#[async_trait]
impl Mutation for ChangedVerdict {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &mut request.settlements {
            let before = settlement.verdict.clone();
            self.0(&mut settlement.verdict);
            if settlement.verdict != before {
                sound.reached();
            }
        }
        sound.backend.settle(request).await
    }
}

/// Changes the duration of a failed attempt.
struct RoundsDurations;

#[async_trait]
impl Mutation for RoundsDurations {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &mut request.settlements {
            let before = settlement.ran_for;
            let round = |duration: Duration| Duration::from_secs(duration.as_secs());
            settlement.ran_for = before.map(round);
            let is_failed = matches!(settlement.verdict, Verdict::Retry { .. } | Verdict::Bury { .. });
            if is_failed && settlement.ran_for != before {
                sound.reached();
            }
        }
        sound.backend.settle(request).await
    }
}

/// Ignores case in names, as some collations do.
struct FoldsCase;

#[async_trait]
impl Mutation for FoldsCase {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        for spec in request.batches.iter_mut().flatten() {
            let queue = QueueName::new(spec.queue.as_str().to_lowercase())?;
            let kind = Kind::new(spec.kind.as_str().to_lowercase())?;
            if (&queue, &kind) != (&spec.queue, &spec.kind) {
                sound.reached();
            }
            (spec.queue, spec.kind) = (queue, kind);
        }
        sound.backend.insert(request).await
    }

    async fn claim(&self, sound: &Sound, mut request: ClaimRequest) -> Result<ClaimReply> {
        request.queue = QueueName::new(request.queue.as_str().to_lowercase())?;
        let lower = |kind: &Kind| Kind::new(kind.as_str().to_lowercase());
        request.kinds = request.kinds.iter().map(lower).collect::<Result<Vec<Kind>>>()?.into();
        sound.backend.claim(request).await
    }
}
