//! Measures the log of a server.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use super::{Schema, Session};

/// The size of whole-page images in the log, written at the first change of a page after a
/// checkpoint, as far as the log still exists.
const FULL_PAGES: &str = include_str!("full_pages.sql");

/// Measures the log from its start on.
#[derive(Debug)]
pub(crate) struct WalMeter {
    session: Session,
    start: String,
    /// The schema of the extension that reads the log, if it may be used.
    inspect: Option<String>,
    /// The schema created for the extension.
    _schema: Schema,
}

/// The size of the log written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wal {
    bytes: i64,
    full_pages: FullPages,
}

#[derive(Debug, Clone, Copy)]
enum FullPages {
    LeftOut,
    Included,
}

impl WalMeter {
    /// Begins with a checkpoint, so that each measurement has the same distance from one.
    pub(crate) fn start(url: &str) -> Result<Self> {
        let session = Session::open(url, "-c client_min_messages=warning")?;
        let schema = Schema::create(url)?;
        let inspect = inspect(&session, &schema);
        // Not every user may do this. Without it, there are more whole-page images.
        session.wait(session.client.batch_execute("CHECKPOINT")).ok();
        let start = position(&session)?;
        Ok(Self { session, start, inspect, _schema: schema })
    }

    /// The log that all sessions wrote since the start.
    pub(crate) fn read(&self) -> Result<Wal> {
        let Self { session, start, .. } = self;
        let end = position(session)?;
        let bytes = session.text(&format!("SELECT ('{end}'::pg_lsn - '{start}'::pg_lsn)::bigint::text"))?;
        let bytes: i64 = bytes.parse().context("failed to read the length of the log")?;
        let full_pages = self.inspect.as_ref().and_then(|schema| {
            let query =
                FULL_PAGES.replace("{schema}", schema).replace("{start}", start).replace("{end}", &end);
            session.text(&query).ok()?.parse::<i64>().ok()
        });
        Ok(match full_pages {
            Some(images) => Wal { bytes: bytes - images, full_pages: FullPages::LeftOut },
            None => Wal { bytes, full_pages: FullPages::Included },
        })
    }
}

impl Wal {
    /// Settings for the report, whose names begin with the prefix.
    pub(crate) fn settings(self, prefix: &str, jobs: usize) -> Result<Map<String, Value>> {
        let each = self.bytes / i64::try_from(jobs)?.max(1);
        let images = match self.full_pages {
            FullPages::LeftOut => "left out",
            FullPages::Included => "included",
        };
        Ok(Map::from_iter([
            (format!("{prefix}wal_bytes_per_job"), Value::from(each)),
            (format!("{prefix}wal_full_page_images"), Value::from(images)),
        ]))
    }
}

fn position(session: &Session) -> Result<String> {
    session.text("SELECT pg_current_wal_flush_lsn()::text")
}

/// The schema of the extension `pg_walinspect`: the existing one, otherwise `own`.
fn inspect(session: &Session, own: &Schema) -> Option<String> {
    let create = format!("CREATE EXTENSION IF NOT EXISTS pg_walinspect SCHEMA {}", own.name);
    session.wait(session.client.batch_execute(&create)).ok()?;
    session
        .text("SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_walinspect'")
        .ok()
}
