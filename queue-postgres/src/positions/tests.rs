//! Where claims start, step by step.

use queue_core::{ClaimId, JobId, JobSpec, Payload};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(5);

fn positions() -> Positions {
    Positions::new(INTERVAL, 20)
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

fn request(limit: u32) -> ClaimRequest {
    let worker = WorkerId::from_bytes([1; 16]);
    let kinds = vec![Kind::new("job").unwrap()];
    ClaimRequest::new(worker, ClaimId::from_bytes([2; 16]), QueueName::default(), kinds, limit)
}

fn job(run_at: i64) -> ClaimedJob {
    let payload = Payload::json("null").unwrap();
    let spec = JobSpec::new(JobId::generate(), Kind::new("job").unwrap(), payload).max_retries(3);
    ClaimedJob::new(ClaimId::from_bytes([2; 16]), 1, at(run_at), spec)
}

fn ready(run_at: i64) -> WakeHints {
    [ready_hint(run_at)].into_iter().collect()
}

fn ready_hint(run_at: i64) -> Hint {
    Hint::new(QueueName::default(), 0, at(run_at))
}

fn waiting(run_at: i64) -> WakeHints {
    [ready_hint(run_at).due_in(SECOND)].into_iter().collect()
}

fn unknown() -> WakeHints {
    let mut hints = WakeHints::new();
    hints.add_unknown();
    hints
}

/// A full claim that returns one job of this time.
fn claim_one(positions: &Positions, run_at: i64, now: Instant) -> Start {
    let (request, start) = (request(1), positions.next(&request(1), now));
    positions.claimed(&request, &start, &[job(run_at)], Some(at(run_at)), now);
    start
}

/// The time behind which the next claim looks; `None` is the head.
fn next(positions: &Positions, now: Instant) -> Option<Timestamp> {
    let cursor = positions.next(&request(1), now).cursor?;
    Some(cursor.positions().next().map_or(Timestamp::UNIX_EPOCH, |(_, (run_at, _))| run_at))
}

#[test]
fn next_claim_starts_behind_a_full_one() {
    let (positions, now) = (positions(), Instant::now());
    assert!(claim_one(&positions, 100, now).is_head());
    assert_eq!(next(&positions, now), Some(at(100)));
}

#[test]
fn claims_start_at_the_head_after_the_interval() {
    let (positions, now) = (positions(), Instant::now());
    claim_one(&positions, 100, now);
    assert_eq!(next(&positions, now + INTERVAL - SECOND), Some(at(100)));
    assert_eq!(next(&positions, now + INTERVAL), None);
}

#[test]
fn incomplete_claim_is_followed_by_a_head_claim() {
    let (positions, now) = (positions(), Instant::now());
    claim_one(&positions, 100, now);
    let start = positions.next(&request(1), now);
    positions.claimed(&request(1), &start, &[], None, now);
    assert_eq!(positions.wait_for_head(&request(1), now), Duration::ZERO);
    assert!(positions.next(&request(1), now).is_head());
}

#[test]
fn head_claims_keep_their_share_of_time() {
    let (positions, start) = (positions(), Instant::now());
    let head = positions.next(&request(1), start);
    let end = start + Duration::from_millis(10);
    positions.claimed(&request(1), &head, &[job(100)], None, end);
    let behind = positions.next(&request(1), end);
    positions.claimed(&request(1), &behind, &[], None, end);
    assert_eq!(positions.wait_for_head(&request(1), end), Duration::from_millis(190));
    assert!(!positions.next(&request(1), end + Duration::from_millis(189)).is_head());
    assert!(positions.next(&request(1), end + Duration::from_millis(190)).is_head());
}

#[test]
fn job_ready_before_the_position_moves_it_back() {
    let (positions, now) = (positions(), Instant::now());
    claim_one(&positions, 100, now);
    positions.rewind(&ready(40));
    assert_eq!(next(&positions, now), Some(at(39)));
}

#[test]
fn job_ready_during_a_claim_is_found() {
    let (positions, now) = (positions(), Instant::now());
    claim_one(&positions, 100, now);
    let start = positions.next(&request(1), now);
    positions.rewind(&ready(40));
    positions.claimed(&request(1), &start, &[job(200)], None, now);
    assert_eq!(next(&positions, now), Some(at(39)));
}

#[test]
fn job_ready_during_a_head_claim_is_found() {
    let (positions, now) = (positions(), Instant::now());
    let start = positions.next(&request(1), now);
    positions.rewind(&ready(40));
    positions.claimed(&request(1), &start, &[job(200)], None, now);
    assert_eq!(next(&positions, now), Some(at(39)));
}

#[test]
fn head_that_is_wanted_during_a_claim_from_it_is_claimed_from_again() {
    let (positions, now) = (positions(), Instant::now());
    let start = positions.next(&request(1), now);
    positions.rewind(&unknown());
    positions.claimed(&request(1), &start, &[job(200)], None, now);
    assert!(positions.next(&request(1), now).is_head());
}

/// Its reply may be older than jobs that became ready since.
#[test]
fn overtaken_claim_moves_no_position() {
    let (positions, now) = (positions(), Instant::now());
    claim_one(&positions, 100, now);
    let overtaken = positions.next(&request(1), now);
    positions.rewind(&ready(40));
    positions.next(&request(1), now);
    positions.claimed(&request(1), &overtaken, &[job(200)], None, now);
    assert_eq!(next(&positions, now), Some(at(39)));
}

#[test]
fn search_for_waiting_jobs_starts_behind_the_last_claim() {
    let (positions, now) = (positions(), Instant::now());
    assert_eq!(claim_one(&positions, 100, now).waiting_after, None);
    assert_eq!(claim_one(&positions, 110, now).waiting_after, Some(at(100)));
    positions.rewind(&waiting(70));
    assert_eq!(positions.next(&request(1), now).waiting_after, Some(at(69)));
}

#[test]
fn job_waiting_since_the_claim_is_found() {
    let (positions, now) = (positions(), Instant::now());
    claim_one(&positions, 100, now);
    let start = positions.next(&request(1), now);
    positions.rewind(&waiting(105));
    positions.claimed(&request(1), &start, &[job(110)], Some(at(110)), now);
    assert_eq!(positions.next(&request(1), now).waiting_after, Some(at(104)));
}

#[test]
fn unknown_hint_and_failed_claim_want_the_head() {
    let (positions, now) = (positions(), Instant::now());
    let changes: [fn(&Positions, Instant); 2] = [
        |positions, _| positions.rewind(&unknown()),
        |positions, now| positions.failed(&QueueName::default(), now),
    ];
    for change in changes {
        claim_one(&positions, 100, now);
        assert_eq!(next(&positions, now), Some(at(100)));
        change(&positions, now);
        assert_eq!(next(&positions, now), None);
    }
}

#[test]
fn other_workers_and_kinds_have_separate_positions() {
    let (positions, now) = (positions(), Instant::now());
    claim_one(&positions, 100, now);
    let mut other = request(1);
    other.worker = WorkerId::from_bytes([9; 16]);
    assert!(positions.next(&other, now).is_head());
    let mut other = request(1);
    other.kinds = vec![Kind::new("other").unwrap()].into();
    assert!(positions.next(&other, now).is_head());
}

#[test]
fn forgotten_worker_leaves_nothing() {
    let (positions, now) = (positions(), Instant::now());
    claim_one(&positions, 100, now);
    positions.forget(WorkerId::from_bytes([1; 16]));
    assert!(positions.lock().by_name.is_empty());
}

#[test]
fn longest_interval_has_no_end() {
    let (positions, now) = (Positions::new(Duration::MAX, u32::MAX), Instant::now());
    let start = positions.next(&request(1), now);
    positions.claimed(&request(1), &start, &[job(100)], None, now + SECOND);
    assert_eq!(next(&positions, now + INTERVAL * 1000), Some(at(100)));
}
