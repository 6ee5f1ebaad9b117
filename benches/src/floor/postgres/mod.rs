//! The protocol on a PostgreSQL server, by one connection or by two at once.
//!
//! The fastest that was measured with the design's tables and the backend's order of the ready index. Names are
//! integers: as texts they cost the server 6 % more time and 34 bytes of log a job. Jobs come as arrays in one statement:
//! COPY logs 50 to 100 bytes less a job and takes 5 to 15 % longer. A turn goes to the server and back once.

mod insert;
mod json;
mod turn;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use tokio_postgres::Statement;

use super::store::{Claim, Id, NewJob, Store};
use crate::postgres::{Schema, Session, Wal, WalMeter};

/// Plans that depend neither on statistics nor on values; a commit is on the disk when it returns.
const SETTINGS: &str = "-c synchronous_commit=on -c jit=off -c plan_cache_mode=force_generic_plan \
                        -c enable_seqscan=off -c enable_bitmapscan=off";

/// Jobs in a schema, seen by one connection.
#[derive(Debug)]
pub(super) struct PostgresStore {
    session: Session,
    insert: Statement,
    settle: Statement,
    claim: Statement,
    /// Dropped after the last of the connections.
    place: Arc<Place>,
}

/// What the connections share.
#[derive(Debug)]
struct Place {
    connections: usize,
    wal: WalMeter,
    schema: Schema,
}

impl PostgresStore {
    /// Empty tables on the server, and connections to them.
    pub(super) fn create(url: &str, connections: usize) -> Result<Vec<Self>> {
        let schema = Schema::create(url)?;
        let session = open(url, &schema)?;
        let tables = session.wait(session.client.batch_execute(include_str!("schema.sql")));
        tables.context("failed to make the floor's tables")?;
        let place = Arc::new(Place { connections, wal: WalMeter::start(url)?, schema });
        (0..connections).map(|_| Self::connect(url, &place)).collect()
    }

    fn connect(url: &str, place: &Arc<Place>) -> Result<Self> {
        let session = open(url, &place.schema)?;
        let prepare = |text| session.wait(session.client.prepare(text));
        let insert = prepare(include_str!("insert.sql"))?;
        let settle = prepare(include_str!("settle.sql"))?;
        let claim = prepare(include_str!("claim.sql"))?;
        Ok(Self { session, insert, settle, claim, place: Arc::clone(place) })
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
        Map::from_iter([("floor_connections".to_owned(), Value::from(self.place.connections))])
    }

    fn logged(&self) -> Result<Option<Wal>> {
        Ok(Some(self.place.wal.read()?))
    }
}

fn open(url: &str, schema: &Schema) -> Result<Session> {
    Session::open(url, &format!("{SETTINGS} -c search_path={}", schema.name))
}
