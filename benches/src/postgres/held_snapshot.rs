//! A transaction that stays open and holds a snapshot.

use anyhow::{Context as _, Result, ensure};

use super::Session;

/// Otherwise a server with this timeout ends the transaction, which waits for the bench.
const SETTINGS: &str = "-c idle_in_transaction_session_timeout=0";

/// What a long report or a backup does to a server: while it lives, no row version and no index
/// entry can be removed that was alive when it began, or was written since.
#[derive(Debug)]
pub(crate) struct HeldSnapshot {
    session: Session,
    snapshot: String,
}

impl HeldSnapshot {
    /// Opens the transaction. It locks no table, so that the schema can be dropped beside it.
    pub(crate) fn take(url: &str) -> Result<Self> {
        let session = Session::open(url, SETTINGS)?;
        session
            .wait(session.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ"))
            .context("failed to open a transaction")?;
        // The server takes the snapshot for the first query.
        let snapshot = current(&session)?;
        Ok(Self { session, snapshot })
    }

    /// Fails if the transaction has ended, because then the measurement says nothing.
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
