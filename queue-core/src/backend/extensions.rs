//! The optional traits of a backend.

use std::fmt;

use super::{Audit, Backend, Inspect, Manage, ScheduleStore, SqlContract, Watch};
use crate::{Error, ErrorKind, Result};

/// The extensions of a backend. `Some` declares that the backend implements all of that trait.
///
/// ```
/// use queue_core::backend::Backend as _;
/// use queue_core::MemoryBackend;
///
/// let backend = MemoryBackend::new();
/// let extensions = backend.extensions();
/// assert!(extensions.inspect.is_some() && extensions.manage.is_some());
/// ```
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct Extensions<'a> {
    /// Reads jobs.
    pub inspect: Option<&'a dyn Inspect>,
    /// Returns and announces the ends of jobs.
    pub watch: Option<&'a dyn Watch>,
    /// Accepts commands of operators.
    pub manage: Option<&'a dyn Manage>,
    /// Stores schedules.
    pub schedules: Option<&'a dyn ScheduleStore>,
    /// Returns the raw rows to the conformance kit.
    pub audit: Option<&'a dyn Audit>,
    /// Lets other drivers enqueue and complete jobs in transactions of the application.
    pub sql_contract: Option<&'a dyn SqlContract>,
}

impl<'a> Extensions<'a> {
    /// No extension.
    #[must_use]
    pub const fn none() -> Self {
        Self { inspect: None, watch: None, manage: None, schedules: None, audit: None, sql_contract: None }
    }

    /// Declares that the backend can read jobs.
    #[must_use]
    pub const fn inspect(mut self, inspect: &'a dyn Inspect) -> Self {
        self.inspect = Some(inspect);
        self
    }

    /// Declares that the backend returns and announces the ends of jobs.
    #[must_use]
    pub const fn watch(mut self, watch: &'a dyn Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Declares that the backend accepts commands of operators.
    #[must_use]
    pub const fn manage(mut self, manage: &'a dyn Manage) -> Self {
        self.manage = Some(manage);
        self
    }

    /// Declares that the backend stores schedules.
    #[must_use]
    pub const fn schedules(mut self, schedules: &'a dyn ScheduleStore) -> Self {
        self.schedules = Some(schedules);
        self
    }

    /// Declares that the backend returns its raw rows.
    #[must_use]
    pub const fn audit(mut self, audit: &'a dyn Audit) -> Self {
        self.audit = Some(audit);
        self
    }

    /// Declares that other drivers can enqueue and complete jobs in transactions of the
    /// application.
    #[must_use]
    pub const fn sql_contract(mut self, sql_contract: &'a dyn SqlContract) -> Self {
        self.sql_contract = Some(sql_contract);
        self
    }
}

impl fmt::Debug for Extensions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions")
            .field("inspect", &self.inspect.is_some())
            .field("watch", &self.watch.is_some())
            .field("manage", &self.manage.is_some())
            .field("schedules", &self.schedules.is_some())
            .field("audit", &self.audit.is_some())
            .field("sql_contract", &self.sql_contract.is_some())
            .finish()
    }
}

/// Returns the extension that reads jobs.
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported) if the backend does not offer it.
pub(crate) fn inspect(backend: &dyn Backend) -> Result<&dyn Inspect> {
    backend.extensions().inspect.ok_or_else(|| missing(backend, "read jobs"))
}

/// Returns the extension that accepts commands of operators.
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported) if the backend does not offer it.
pub(crate) fn manage(backend: &dyn Backend) -> Result<&dyn Manage> {
    backend.extensions().manage.ok_or_else(|| missing(backend, "manage queues"))
}

/// Returns the extension that stores schedules.
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported) if the backend does not offer it.
#[cfg(feature = "schedules")]
pub(crate) fn schedules(backend: &dyn Backend) -> Result<&dyn ScheduleStore> {
    backend.extensions().schedules.ok_or_else(|| missing(backend, "use schedules"))
}

/// Returns the extension by which other drivers enqueue and complete jobs.
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported) if the backend does not offer it.
pub(crate) fn sql_contract<'a>(
    backend: &'a dyn Backend,
    operation: &'static str,
) -> Result<&'a dyn SqlContract> {
    backend.extensions().sql_contract.ok_or_else(|| missing(backend, operation))
}

fn missing(backend: &dyn Backend, operation: &'static str) -> Error {
    let message = format!("the backend `{}` does not offer it", backend.name());
    Error::new(ErrorKind::Unsupported, operation, message)
}
