//! A transaction that stays open and holds a snapshot.

use anyhow::{Context as _, Result, ensure};

use super::Session;

/// Otherwise a server with this timeout ends the transaction while it waits for the bench.
const SETTINGS: &str = "-c idle_in_transaction_session_timeout=0";

/// A transaction with a snapshot, as a long report or a backup has. While it is open, no row
/// version and no index entry can be removed that was alive at its start or was written later.
#[derive(Debug)]
pub(crate) struct HeldSnapshot {
    session: Session,
    snapshot: String,
}

impl HeldSnapshot {
    /// Opens the transaction. It locks no table, so that the schema can still be dropped.
    pub(crate) fn take(url: &str) -> Result<Self> {
        let session = Session::open(url, SETTINGS)?;
        session
            .wait(session.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ"))
            .context("failed to open a transaction")?;
        // The server takes the snapshot at the first query.
        let snapshot = current(&session)?;
        Ok(Self { session, snapshot })
    }

    /// Fails if the transaction has ended, because the measurement is then void.
    pub(crate) fn ensure_held(&self) -> Result<()> {
        let snapshot = current(&self.session);
        let snapshot = snapshot.context("the snapshot was lost during the measurement")?;
        ensure!(
            snapshot == self.snapshot,
            "the snapshot changed from {} to {snapshot} during the measurement",
            self.snapshot
        );
        Ok(())
    }
}

fn current(session: &Session) -> Result<String> {
    session.text("SELECT pg_current_snapshot()::text")
}
