//! Checks that each floor keeps the protocol, because a faster floor without it proves nothing.

use anyhow::Result;

use super::memory::MemoryStore;
use super::postgres::PostgresStore;
use super::side_by_side::side_by_side;
use super::sqlite::SqliteStore;
use super::store::{Claim, Id, Store, jobs};

fn sqlite() -> SqliteStore {
    SqliteStore::create(tempfile::tempdir().unwrap()).unwrap()
}

fn postgres(connections: usize) -> Vec<PostgresStore> {
    PostgresStore::create(&queue_testserver::url().unwrap(), connections).unwrap()
}

/// Concurrent claims share no job, and together take all jobs.
fn every_job_is_claimed_once<S: Store>(mut store: S) -> Result<()>
where
    S::Key: Ord,
{
    store.insert(&jobs(70, 40))?;
    store.insert(&jobs(50, 40))?;
    let mut keys = Vec::new();
    let mut sizes = Vec::new();
    for _ in 0..4 {
        let claim = store.turn(&Claim::empty(), 50)?;
        sizes.push((claim.keys.len(), claim.payload_bytes));
        keys.extend(claim.keys);
    }
    assert_eq!(sizes, [(50, 2000), (50, 2000), (20, 800), (0, 0)]);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 120);
    assert_eq!(store.outcomes()?, 0, "a claim has no outcome");
    Ok(())
}

/// A foreign token settles nothing; the token of the claim settles once.
fn the_fence_holds<S: Store>(mut store: S) -> Result<()> {
    store.insert(&jobs(10, 40))?;
    let mut claim = store.turn(&Claim::empty(), 10)?;
    let token = std::mem::take(&mut claim.token);
    assert!(store.turn(&claim, 0).is_err());
    assert_eq!(store.outcomes()?, 0);
    claim.token = token;
    store.turn(&claim, 0)?;
    assert_eq!(store.outcomes()?, 10);
    assert!(store.turn(&claim, 0).is_err(), "a lease ends once");
    Ok(())
}

/// The job that is ready for longest is claimed first, and equal jobs in the order of their ids.
fn the_order_is_kept(mut store: impl Store<Key = Id>) -> Result<()> {
    let (first, second) = (jobs(30, 40), jobs(30, 40));
    // The later ids are inserted first.
    store.insert(&second)?;
    store.insert(&first)?;
    for some in [&second[..20], &second[20..], &first[..20], &first[20..]] {
        let mut keys = store.turn(&Claim::empty(), some.len())?.keys;
        keys.sort_unstable();
        assert_eq!(keys, some.iter().map(|job| job.id).collect::<Vec<_>>());
    }
    Ok(())
}

#[test]
fn memory_claims_each_job_once() {
    every_job_is_claimed_once(MemoryStore::new()).unwrap();
}

#[test]
fn sqlite_claims_each_job_once() {
    every_job_is_claimed_once(sqlite()).unwrap();
}

#[test]
fn memory_settles_only_with_the_token() {
    the_fence_holds(MemoryStore::new()).unwrap();
}

#[test]
fn sqlite_settles_only_with_the_token() {
    the_fence_holds(sqlite()).unwrap();
}

#[test]
fn postgres_claims_each_job_once() {
    every_job_is_claimed_once(postgres(1).remove(0)).unwrap();
}

#[test]
fn postgres_settles_only_with_the_token() {
    the_fence_holds(postgres(1).remove(0)).unwrap();
}

#[test]
fn memory_claims_in_order() {
    the_order_is_kept(MemoryStore::new()).unwrap();
}

#[test]
fn postgres_claims_in_order() {
    the_order_is_kept(postgres(1).remove(0)).unwrap();
}

#[test]
fn postgres_connections_share_jobs_but_no_lease() {
    let mut stores = postgres(2);
    stores[0].insert(&jobs(100, 40)).unwrap();
    let claims = side_by_side(&mut stores, |_, store| store.turn(&Claim::empty(), 50)).unwrap();
    let mut keys: Vec<Id> = claims.iter().flat_map(|claim| claim.keys.iter().copied()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 100);
    assert_ne!(claims[0].token, claims[1].token);

    // Another connection settles, because the token counts and not the connection.
    stores[0].turn(&claims[1], 0).unwrap();
    assert!(stores[1].turn(&claims[1], 0).is_err(), "a lease ends once");
    assert_eq!(stores[1].outcomes().unwrap(), 50);
}

#[test]
fn postgres_measures_its_log() {
    let mut store = postgres(1).remove(0);
    store.insert(&jobs(1000, 40)).unwrap();
    let logged = store.logged().unwrap().unwrap().settings("", 1000).unwrap();
    let each = logged["wal_bytes_per_job"].as_i64().unwrap();
    assert!(each > 100, "{each}");
}
