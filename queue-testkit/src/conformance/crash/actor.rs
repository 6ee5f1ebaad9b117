//! A child process of the suite: attaches to its parent's storage and runs its role.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use queue_core::{Backend, JobQueue};
use serde::{Deserialize, Serialize};

use super::messages::{END, OPENED, OPENING};
use super::{enqueue, fire, run, transact, work};
use crate::child::Parent;
use crate::conformance::history::Sink;
use crate::conformance::journal::Journal;
use crate::conformance::kit::transactions::Beginner;
use crate::conformance::recorded::Recorded;
use crate::conformance::runtime::runtime;
use crate::conformance::subject::Subject;

/// The role of all children of the suite, for [`Parent`].
pub(crate) const ROLE: &str = "queue-conformance";

/// The text that a parent sends its child at the start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) address: String,
    pub(crate) role: Role,
}

/// The task of a child.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Opens a storage that has no schema.
    Migrate,
    /// Enqueues batches.
    Enqueue(enqueue::Orders),
    /// Enqueues in transactions of an application.
    Transact(transact::Orders),
    /// Fires schedules without the runtime, at the time that its parent sets.
    Fire(fire::Orders),
    /// Claims and settles without the runtime, at the time that its parent sets.
    Work(work::Orders),
    /// Runs a worker of the real runtime.
    Run(run::Orders),
}

impl From<enqueue::Orders> for Role {
    fn from(orders: enqueue::Orders) -> Self {
        Self::Enqueue(orders)
    }
}

impl From<transact::Orders> for Role {
    fn from(orders: transact::Orders) -> Self {
        Self::Transact(orders)
    }
}

impl From<fire::Orders> for Role {
    fn from(orders: fire::Orders) -> Self {
        Self::Fire(orders)
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

/// Runs the role until it ends or this process is killed.
pub(crate) fn act(subject: Arc<dyn Subject>, parent: Parent) -> ExitCode {
    let parent = Arc::new(parent);
    let running = async {
        let order: Order =
            serde_json::from_str(parent.text()).context("the order of the parent is malformed")?;
        parent.say(OPENING);
        let backend = subject.attach(&order.address).await;
        let backend = backend.map_err(|error| anyhow!("the subject's `attach` failed: {error}"))?;
        parent.say(OPENED);
        run_role(order, subject, backend, &parent).await
    };
    let outcome = runtime().and_then(|runtime| runtime.block_on(running));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            parent.say(format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run_role(
    order: Order,
    subject: Arc<dyn Subject>,
    backend: Arc<dyn Backend>,
    parent: &Arc<Parent>,
) -> anyhow::Result<()> {
    let sink: Arc<dyn Sink> = Arc::clone(parent) as Arc<dyn Sink>;
    let journal = Arc::new(Journal::default());
    let recorded: Arc<dyn Backend> = Arc::new(Recorded::new(backend, Arc::clone(&sink), journal, ""));
    match order.role {
        Role::Migrate => {
            while parent.hear().await != END {}
            Ok(())
        }
        Role::Enqueue(orders) => enqueue::run(&orders, &*recorded, parent).await,
        Role::Transact(orders) => {
            let jobs = JobQueue::new(Arc::clone(&recorded));
            let beginner = Beginner::new(subject, order.address, jobs, sink);
            transact::run(&orders, &*recorded, &beginner, parent).await
        }
        Role::Fire(orders) => fire::run(&orders, &*recorded, parent).await,
        Role::Work(orders) => work::run(&orders, &*recorded, parent).await,
        Role::Run(orders) => {
            let worker = run::start(&orders, recorded, &sink)?;
            while parent.hear().await != END {}
            worker.shutdown(run::GRACE).await;
            Ok(())
        }
    }
}
