//! The floor on a PostgreSQL server, with one or two connections.
//!
//! The fastest variant measured with the backend's tables and its order of the ready index. Names
//! are integers: as texts they cost 6 % more server time and 34 bytes of log per job. Jobs are sent
//! as arrays in one statement: COPY logs 50 to 100 bytes less per job and takes 5 to 15 % longer. A
//! turn is one round trip.

mod insert;
mod json;
mod turn;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use tokio_postgres::Statement;

use super::store::{Claim, Id, NewJob, Store};
use crate::postgres::{Schema, Session, Wal, WalMeter};

/// Settings for plans that depend neither on statistics nor on values, and for durable commits.
const SETTINGS: &str = "-c synchronous_commit=on -c jit=off -c plan_cache_mode=force_generic_plan \
                        -c enable_seqscan=off -c enable_bitmapscan=off";

/// One connection to the tables.
#[derive(Debug)]
pub(super) struct PostgresStore {
    session: Session,
    insert: Statement,
    settle: Statement,
    claim: Statement,
    /// Dropped after the last connection.
    shared: Arc<SharedSchema>,
}

/// The schema that the connections share.
#[derive(Debug)]
struct SharedSchema {
    connections: usize,
    wal: WalMeter,
    schema: Schema,
}

impl PostgresStore {
    /// Creates empty tables and connections to them.
    pub(super) fn create(url: &str, connections: usize) -> Result<Vec<Self>> {
        let schema = Schema::create(url)?;
        let session = open(url, &schema)?;
        let tables = session.wait(session.client.batch_execute(include_str!("schema.sql")));
        tables.context("failed to create the floor's tables")?;
        let shared = Arc::new(SharedSchema { connections, wal: WalMeter::start(url)?, schema });
        (0..connections).map(|_| Self::connect(url, &shared)).collect()
    }

    fn connect(url: &str, shared: &Arc<SharedSchema>) -> Result<Self> {
        let session = open(url, &shared.schema)?;
        let prepare = |text| session.wait(session.client.prepare(text));
        let insert = prepare(include_str!("insert.sql"))?;
        let settle = prepare(include_str!("settle.sql"))?;
        let claim = prepare(include_str!("claim.sql"))?;
        Ok(Self { session, insert, settle, claim, shared: Arc::clone(shared) })
    }
}

impl Store for PostgresStore {
    type Key = Id;

    fn insert(&mut self, jobs: &[NewJob]) -> Result<()> {
        self.session.wait(insert::insert(&self.session.client, &self.insert, jobs))
    }

    fn turn(&mut self, done: &Claim<Id>, limit: usize) -> Result<Claim<Id>> {
        self.session.wait(turn::turn(self, done, limit))
    }

    fn outcomes(&self) -> Result<usize> {
        Ok(self.session.text("SELECT count(*)::text FROM outcomes")?.parse()?)
    }

    fn settings(&self) -> Map<String, Value> {
        Map::from_iter([("floor_connections".to_owned(), Value::from(self.shared.connections))])
    }

    fn logged(&self) -> Result<Option<Wal>> {
        Ok(Some(self.shared.wal.read()?))
    }
}

fn open(url: &str, schema: &Schema) -> Result<Session> {
    Session::open(url, &format!("{SETTINGS} -c search_path={}", schema.name))
}
