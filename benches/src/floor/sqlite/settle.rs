//! Settles jobs.

use std::rc::Rc;

use anyhow::{Result, ensure};
use rusqlite::types::Value;
use rusqlite::{Connection, params};

use crate::floor::store::Claim;

const COMPLETE: &str = include_str!("complete.sql");
const REMOVE: &str = include_str!("remove.sql");

/// Completes all jobs of the claim; both statements check the token.
pub(super) fn settle(connection: &Connection, done: &Claim<i64>, now: i64) -> Result<()> {
    if done.keys.is_empty() {
        return Ok(());
    }
    let keys: Rc<Vec<Value>> = Rc::new(done.keys.iter().copied().map(Value::from).collect());
    let token = done.token.as_slice();
    let completed = connection.prepare_cached(COMPLETE)?.execute(params![keys, token, now])?;
    let removed = connection.prepare_cached(REMOVE)?.execute(params![keys, token])?;
    let all = done.keys.len();
    ensure!(completed == all && removed == all, "the floor lost {} of {all} leases", all - removed);
    Ok(())
}
