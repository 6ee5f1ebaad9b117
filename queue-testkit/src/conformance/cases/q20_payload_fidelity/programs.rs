//! Q20: a worker passes payloads, results and errors unchanged.

use anyhow::ensure;
use queue_core::limits::DEFAULT_MAX_ERROR_BYTES;
use queue_core::{Enqueuer as _, JobError, JobId, Payload};

use super::payloads::ODD;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::program::{Program, new_job, stop};

cases! {
    Race q20_the_text_of_a_handlers_error_is_mended_and_cut,
    Race q20_a_handler_gets_the_exact_text_and_leaves_exact_bytes,
}

/// A handler returns an error text with NUL that is longer than the limit. NUL must be replaced,
/// and the text must end between two characters within the limit.
async fn q20_the_text_of_a_handlers_error_is_mended_and_cut(kit: &Kit) -> CaseResult {
    let text = format!("a\0b {}", "é".repeat(DEFAULT_MAX_ERROR_BYTES));
    let mut program = Program::new(kit)?;
    let error = text.clone();
    program.on("bad", move |_, _| {
        let error = JobError::bury(&error);
        async move { Err(error) }
    })?;
    let ids: Vec<JobId> =
        program.queue.submit(vec![new_job("bad", "{}")?]).await?.iter().map(|job| job.id).collect();
    let worker = program.start(1)?;
    program.ended(&ids).await?;
    stop(worker).await?;
    let stored = kit.record(ids[0]).await?.error.unwrap_or_default();
    ensure!(stored.starts_with("a\u{fffd}b é"), "the text begins with {:?}", stored.get(..20));
    let rest = stored.trim_start_matches("a\u{fffd}b ");
    ensure!(rest.chars().all(|char| char == 'é'), "the text was changed: {stored}");
    let bytes = stored.len();
    ensure!(
        (DEFAULT_MAX_ERROR_BYTES - 8..=DEFAULT_MAX_ERROR_BYTES).contains(&bytes),
        "the stored text has {bytes} bytes, against a limit of {DEFAULT_MAX_ERROR_BYTES}"
    );
    Ok(())
}

/// A handler captures its payload as its result. The stored result must be the submitted payload
/// byte for byte.
async fn q20_a_handler_gets_the_exact_text_and_leaves_exact_bytes(kit: &Kit) -> CaseResult {
    let mut program = Program::new(kit)?;
    program.on("echo", |context, payload: Payload| async move {
        context.capture_result(payload.as_bytes());
        Ok(())
    })?;
    let jobs = ODD.iter().map(|text| new_job("echo", text)).collect::<queue_core::Result<_>>()?;
    let ids: Vec<JobId> = program.queue.submit(jobs).await?.iter().map(|job| job.id).collect();
    let worker = program.start(4)?;
    program.ended(&ids).await?;
    stop(worker).await?;
    for (id, text) in ids.into_iter().zip(ODD) {
        ensure_eq!(
            kit.record(id).await?.result.as_deref(),
            Some(text.as_bytes()),
            "the result for payload {text}"
        );
    }
    Ok(())
}
