//! What a child of the suite does: it attaches to its parent's storage, and plays its role there.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use queue_core::Backend;
use serde::{Deserialize, Serialize};

use super::messages::{END, OPENED, OPENING};
use super::{enqueue, run, work};
use crate::child::Parent;
use crate::conformance::history::Sink;
use crate::conformance::journal::Journal;
use crate::conformance::recorded::Recorded;
use crate::conformance::runtime::runtime;
use crate::conformance::subject::Subject;

/// What the children of the suite are called.
pub(crate) const ROLE: &str = "queue-conformance";

/// What a parent tells its child at the start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) address: String,
    pub(crate) role: Role,
}

/// What a child does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Opens a storage that has no schema yet.
    Migrate,
    /// Enqueues batches.
    Enqueue(enqueue::Orders),
    /// Claims and settles by hand, at the time that its parent says.
    Work(work::Orders),
    /// Runs a worker of the real runtime.
    Run(run::Orders),
}

impl From<enqueue::Orders> for Role {
    fn from(orders: enqueue::Orders) -> Self {
        Self::Enqueue(orders)
    }
}

impl From<work::Orders> for Role {
    fn from(orders: work::Orders) -> Self {
        Self::Work(orders)
    }
}

impl From<run::Orders> for Role {
    fn from(orders: run::Orders) -> Self {
        Self::Run(orders)
    }
}

/// Plays the role to its end, or until this process is killed.
pub(crate) fn act(subject: &dyn Subject, parent: Parent) -> ExitCode {
    let parent = Arc::new(parent);
    let playing = async {
        let order: Order = serde_json::from_str(parent.text()).context("the order cannot be read")?;
        parent.say(OPENING);
        let backend = subject.attach(&order.address).await;
        let backend = backend.map_err(|error| anyhow!("the subject's `attach` failed: {error}"))?;
        parent.say(OPENED);
        play(order.role, backend, &parent).await
    };
    let outcome = runtime().and_then(|runtime| runtime.block_on(playing));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            parent.say(format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn play(role: Role, backend: Arc<dyn Backend>, parent: &Arc<Parent>) -> anyhow::Result<()> {
    let sink: Arc<dyn Sink> = Arc::clone(parent) as Arc<dyn Sink>;
    let journal = Arc::new(Journal::default());
    let recorded: Arc<dyn Backend> = Arc::new(Recorded::new(backend, Arc::clone(&sink), journal, ""));
    match role {
        Role::Migrate => {
            while parent.hear().await != END {}
            Ok(())
        }
        Role::Enqueue(orders) => enqueue::play(&orders, &*recorded, parent).await,
        Role::Work(orders) => work::play(&orders, &*recorded, parent).await,
        Role::Run(orders) => {
            let worker = run::start(&orders, recorded, &sink)?;
            while parent.hear().await != END {}
            worker.shutdown(run::GRACE).await;
            Ok(())
        }
    }
}
