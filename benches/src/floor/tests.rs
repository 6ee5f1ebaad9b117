//! A floor that breaks its protocol would be fast and worth nothing.

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

/// Claims that run side by side share nothing, and together take everything.
fn every_job_is_claimed_once<S: Store>(mut store: S) -> Result<()>
where
    S::Key: Ord,
{
    store.insert(&jobs(70, 40))?;
    store.insert(&jobs(50, 40))?;
    let mut keys = Vec::new();
    let mut sizes = Vec::new();
    for _ in 0..4 {
        let claim = store.turn(&Claim::of_none(), 50)?;
        sizes.push((claim.keys.len(), claim.payload_bytes));
        keys.extend(claim.keys);
    }
    assert_eq!(sizes, [(50, 2000), (50, 2000), (20, 800), (0, 0)]);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 120);
    assert_eq!(store.outcomes()?, 0, "a claim is no outcome");
    Ok(())
}

/// A stranger's token settles nothing; the claim's own settles once.
fn the_fence_holds<S: Store>(mut store: S) -> Result<()> {
    store.insert(&jobs(10, 40))?;
    let mut claim = store.turn(&Claim::of_none(), 10)?;
    let token = std::mem::take(&mut claim.token);
    assert!(store.turn(&claim, 0).is_err());
    assert_eq!(store.outcomes()?, 0);
    claim.token = token;
    store.turn(&claim, 0)?;
    assert_eq!(store.outcomes()?, 10);
    assert!(store.turn(&claim, 0).is_err(), "a lease ends once");
    Ok(())
}

/// What is ready for longest is claimed first, and jobs that became ready together in the order of their ids.
fn the_order_is_kept(mut store: impl Store<Key = Id>) -> Result<()> {
    let (first, second) = (jobs(30, 40), jobs(30, 40));
    // The later ids are stored earlier.
    store.insert(&second)?;
    store.insert(&first)?;
    for some in [&second[..20], &second[20..], &first[..20], &first[20..]] {
        let mut keys = store.turn(&Claim::of_none(), some.len())?.keys;
        keys.sort_unstable();
        assert_eq!(keys, some.iter().map(|job| job.id).collect::<Vec<_>>());
    }
    Ok(())
}

#[test]
fn memory_gives_every_job_once() {
    every_job_is_claimed_once(MemoryStore::new()).unwrap();
}

#[test]
fn sqlite_gives_every_job_once() {
    every_job_is_claimed_once(sqlite()).unwrap();
}

#[test]
fn memory_is_fenced() {
    the_fence_holds(MemoryStore::new()).unwrap();
}

#[test]
fn sqlite_is_fenced() {
    the_fence_holds(sqlite()).unwrap();
}

#[test]
fn postgres_gives_every_job_once() {
    every_job_is_claimed_once(postgres(1).remove(0)).unwrap();
}

#[test]
fn postgres_is_fenced() {
    the_fence_holds(postgres(1).remove(0)).unwrap();
}

#[test]
fn memory_keeps_the_order() {
    the_order_is_kept(MemoryStore::new()).unwrap();
}

#[test]
fn postgres_keeps_the_order() {
    the_order_is_kept(postgres(1).remove(0)).unwrap();
}

#[test]
fn connections_to_postgres_share_the_jobs_and_no_lease() {
    let mut stores = postgres(2);
    stores[0].insert(&jobs(100, 40)).unwrap();
    let claims = side_by_side(&mut stores, |_, store| store.turn(&Claim::of_none(), 50)).unwrap();
    let mut keys: Vec<Id> = claims.iter().flat_map(|claim| claim.keys.iter().copied()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 100);
    assert_ne!(claims[0].token, claims[1].token);

    // Settled by the connection that did not claim it: the fence is the token, not the connection.
    stores[0].turn(&claims[1], 0).unwrap();
    assert!(stores[1].turn(&claims[1], 0).is_err(), "a lease ends once");
    assert_eq!(stores[1].outcomes().unwrap(), 50);
}

#[test]
fn postgres_tells_what_it_logged() {
    let mut store = postgres(1).remove(0);
    store.insert(&jobs(1000, 40)).unwrap();
    let logged = store.logged().unwrap().unwrap().settings("", 1000).unwrap();
    let each = logged["wal_bytes_per_job"].as_i64().unwrap();
    assert!(each > 100, "{each}");
}
