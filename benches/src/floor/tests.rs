//! A floor that breaks its protocol would be fast and worth nothing.

use anyhow::Result;

use super::memory::MemoryStore;
use super::sqlite::SqliteStore;
use super::store::{Claim, Store, jobs};

fn sqlite() -> SqliteStore {
    SqliteStore::create(tempfile::tempdir().unwrap()).unwrap()
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
