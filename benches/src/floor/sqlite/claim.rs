//! Claims ready jobs.

use std::rc::Rc;

use anyhow::{Result, ensure};
use rusqlite::types::Value;
use rusqlite::{Connection, params};

use crate::floor::store::{Claim, KINDS, LEASE, QUEUE, WORKER};

const PICK: &str = include_str!("pick.sql");
const MARK: &str = include_str!("mark.sql");
/// The index of the payload among the columns of [`PICK`].
const PAYLOAD: usize = 7;

/// Claims up to `limit` jobs for the worker and reads their data.
pub(super) fn claim(connection: &Connection, limit: usize, now: i64) -> Result<Claim<i64>> {
    let mut claim = Claim::fenced(limit);
    if limit == 0 {
        return Ok(claim);
    }
    pick(connection, limit, &mut claim)?;
    if !claim.keys.is_empty() {
        mark(connection, &claim, now)?;
    }
    Ok(claim)
}

fn pick(connection: &Connection, limit: usize, claim: &mut Claim<i64>) -> Result<()> {
    let mut statement = connection.prepare_cached(PICK)?;
    let mut rows = statement.query(params![QUEUE, serde_json::to_string(&KINDS)?, i64::try_from(limit)?])?;
    while let Some(row) = rows.next()? {
        claim.keys.push(row.get(0)?);
        claim.payload_bytes += row.get_ref(PAYLOAD)?.as_str()?.len();
    }
    Ok(())
}

/// The transaction is immediate, so the picked jobs are still ready.
fn mark(connection: &Connection, claim: &Claim<i64>, now: i64) -> Result<()> {
    let keys: Rc<Vec<Value>> = Rc::new(claim.keys.iter().copied().map(Value::from).collect());
    let marked = connection.prepare_cached(MARK)?.execute(params![
        keys,
        claim.token.as_slice(),
        WORKER,
        now + LEASE
    ])?;
    ensure!(marked == claim.keys.len(), "the floor marked {marked} of {} jobs", claim.keys.len());
    Ok(())
}
