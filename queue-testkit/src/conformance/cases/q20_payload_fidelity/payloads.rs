//! Q20: payloads and results are returned byte for byte.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use proptest::collection::vec;
use proptest::prelude::any;
use queue_core::JobId;
use queue_core::backend::{ClaimedJob, Completion, Verdict};
use queue_core::limits::{DEFAULT_MAX_PAYLOAD_BYTES, DEFAULT_MAX_RESULT_BYTES, MAX_JSON_DEPTH};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::json::json_text;
use crate::conformance::kit::Kit;
use crate::conformance::property::holds_of_all;
use crate::conformance::session::{EXPIRY, Session, complete_with, release, retry};

cases! {
    Fast q20_odd_payloads_come_back_byte_for_byte,
    Fast q20_any_payload_comes_back_byte_for_byte,
    Fast q20_the_largest_payload_comes_back,
    Fast q20_a_payload_is_the_same_in_every_attempt,
    Fast q20_odd_results_come_back_byte_for_byte,
    Fast q20_any_result_comes_back_byte_for_byte,
    Fast q20_payloads_and_results_outlive_the_handle [Durable],
}

/// Valid JSON texts that a storage or a parser may change.
pub(super) const ODD: &[&str] = &[
    "{}",
    "[]",
    "\"\"",
    "null",
    " \t\r\n{ \"b\" : 1 ,\n\"a\":2, \"b\": 3 } \n",
    r#"{"nul":"\u0000","\u0000":0}"#,
    r#""\ud800""#,
    r#""\udc00\ud800""#,
    r#""\ud83d\ude00 and 😀 and \uD83D\uDE00""#,
    "\"\u{10ffff}\u{fffe}\u{feff}\u{7f}\u{85}\u{2028}\"",
    "\"e\u{301} is not \u{e9}\"",
    "1e400",
    "-0",
    "0.1000000000000000055511151231257827021181583404541015625",
    "123456789012345678901234567890",
    "9007199254740993",
    r#""'; drop table jobs; -- $1 ?1 :a @b %s \\ \/ `""#,
];

/// Inserts a job for each text, and claims all.
async fn claimed(session: &Session, texts: &[String]) -> anyhow::Result<Vec<ClaimedJob>> {
    let ids = session.insert(texts.iter().map(|text| session.spec("job").payload(text)).collect()).await?;
    let worker = session.worker().await?;
    let jobs = session.claim(worker, u32::MAX).await?;
    let mut jobs: BTreeMap<JobId, ClaimedJob> = jobs.into_iter().map(|job| (job.token.job, job)).collect();
    ids.iter().map(|id| jobs.remove(id).context("a job was not claimed")).collect()
}

/// Checks the payload in the claim and in the record.
async fn are_returned(session: &Session, texts: Vec<String>) -> CaseResult {
    for (job, text) in claimed(session, &texts).await?.into_iter().zip(&texts) {
        ensure_eq!(job.payload.as_str(), text, "the payload in the claim");
        let record = session.record(job.token.job).await?;
        ensure_eq!(record.job.payload.as_str(), text, "the payload in the record");
        session.settle_one(job.token, complete_with(b"")).await?;
    }
    Ok(())
}

/// Payloads are valid JSON that no serializer would write. Each must be returned byte for byte.
async fn q20_odd_payloads_come_back_byte_for_byte(kit: &Kit) -> CaseResult {
    let deep = "[".repeat(MAX_JSON_DEPTH) + &"]".repeat(MAX_JSON_DEPTH);
    are_returned(kit, ODD.iter().map(ToString::to_string).chain([deep]).collect()).await
}

/// Payloads are random JSON texts. Each must be returned byte for byte.
async fn q20_any_payload_comes_back_byte_for_byte(kit: &Kit) -> CaseResult {
    holds_of_all(kit, || vec(json_text(), 1..6), |texts| are_returned(kit, texts)).await
}

/// Ten payloads of one mebibyte are in one batch and one claim. Each must be returned unchanged.
async fn q20_the_largest_payload_comes_back(kit: &Kit) -> CaseResult {
    let filling = "\u{1f980}".repeat((DEFAULT_MAX_PAYLOAD_BYTES - 4) / 4);
    let texts: Vec<String> = (10..20).map(|index| format!("\"{filling}{index}\"")).collect();
    let bytes = DEFAULT_MAX_PAYLOAD_BYTES - 4 + "\"10\"".len();
    for (job, text) in claimed(kit, &texts).await?.into_iter().zip(&texts) {
        ensure_eq!(job.payload.as_bytes().len(), bytes, "the number of bytes of the payload");
        ensure!(job.payload.as_str() == text, "the payload of one mebibyte was returned changed");
    }
    Ok(())
}

/// A job is retried, released and rescued. Each claim and the leases must return the same payload.
async fn q20_a_payload_is_the_same_in_every_attempt(kit: &Kit) -> CaseResult {
    let text = ODD[4];
    let id = kit.insert_one(kit.spec("job").payload(text)).await?;
    for end in [Some(retry("failed", 0)), Some(release()), None, Some(retry("failed", 0))] {
        let worker = kit.worker().await?;
        let job = kit.claim_one(worker).await?;
        ensure_eq!(job.payload.as_str(), text, "the payload before {end:?}");
        let leases = kit.leases(worker, job.token.claim).await?;
        ensure_eq!(leases[0].payload.as_str(), text, "the payload in the leases before {end:?}");
        if let Some(verdict) = end {
            kit.settle_one(job.token, verdict).await?;
        } else {
            kit.advance(EXPIRY);
            kit.rescue(10).await?;
        }
    }
    ensure_eq!(kit.record(id).await?.job.payload.as_str(), text, "the payload in the record");
    Ok(())
}

fn odd_results() -> Vec<Option<Vec<u8>>> {
    vec![
        None,
        Some(Vec::new()),
        Some(vec![0]),
        Some(b"a\0b\0".to_vec()),
        Some((0..=255).collect()),
        Some(vec![0xc0, 0x80, 0xff, 0xfe]),
        Some("é😀".as_bytes().to_vec()),
        Some((0..DEFAULT_MAX_RESULT_BYTES).map(|index| index.to_le_bytes()[0]).collect()),
    ]
}

async fn complete_each(session: &Session, results: &[Option<Vec<u8>>]) -> anyhow::Result<Vec<JobId>> {
    let texts = vec!["{}".to_owned(); results.len()];
    let jobs = claimed(session, &texts).await?;
    let verdicts = results.iter().map(|result| Verdict::Complete(Completion::new().result(result.clone())));
    session.settle(jobs.iter().map(|job| job.token).zip(verdicts).collect()).await?;
    Ok(jobs.iter().map(|job| job.token.job).collect())
}

async fn results_are_returned(session: &Session, results: Vec<Option<Vec<u8>>>) -> CaseResult {
    let ids = complete_each(session, &results).await?;
    for (id, result) in ids.into_iter().zip(results) {
        let seen = session.record(id).await?.result;
        ensure!(seen == result, "{} was returned as {}", brief(result.as_ref()), brief(seen.as_ref()));
    }
    Ok(())
}

fn brief(result: Option<&Vec<u8>>) -> String {
    result.map_or("no result".to_owned(), |bytes| {
        format!("a result of {} bytes: {:02x?}…", bytes.len(), &bytes[..bytes.len().min(16)])
    })
}

/// Results are absent, empty, invalid UTF-8, or one mebibyte, and settled in one request. Each must
/// be returned byte for byte.
async fn q20_odd_results_come_back_byte_for_byte(kit: &Kit) -> CaseResult {
    results_are_returned(kit, odd_results()).await
}

/// Results are random bytes. Each must be returned byte for byte.
async fn q20_any_result_comes_back_byte_for_byte(kit: &Kit) -> CaseResult {
    let results = || vec(any::<Option<Vec<u8>>>(), 1..6);
    holds_of_all(kit, results, |results| results_are_returned(kit, results)).await
}

/// Payloads and results are stored and the handle is reopened. Each must be returned byte for byte.
async fn q20_payloads_and_results_outlive_the_handle(kit: &Kit) -> CaseResult {
    let payloads = kit.insert(ODD.iter().map(|text| kit.spec("odd").payload(*text)).collect()).await?;
    let completed = complete_each(kit, &odd_results()).await?;
    kit.reopen().await?;
    for (id, text) in payloads.into_iter().zip(ODD) {
        ensure_eq!(kit.record(id).await?.job.payload.as_str(), *text, "the payload");
    }
    for (id, result) in completed.into_iter().zip(odd_results()) {
        ensure!(kit.record(id).await?.result == result, "{} was returned changed", brief(result.as_ref()));
    }
    Ok(())
}
