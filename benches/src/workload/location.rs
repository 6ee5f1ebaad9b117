//! The location of the jobs of one measurement.

use std::ffi::OsString;

use anyhow::Result;
use tempfile::TempDir;

use crate::cli::BackendName;
use crate::plan::Plan;
use crate::postgres::{Schema, WalMeter};

/// The location of the jobs. Empty at first, and removed when this is dropped.
#[derive(Debug)]
pub(super) enum JobsLocation {
    /// The memory of this process.
    Process,
    /// A folder for a file.
    Folder(TempDir),
    /// A schema, which the backend creates.
    Schema(Schema),
}

impl JobsLocation {
    /// Creates the location for a plan.
    pub(super) fn new(plan: &Plan) -> Result<Self> {
        Ok(match plan.backend {
            BackendName::Memory => Self::Process,
            BackendName::Sqlite => Self::Folder(plan.scratch()?),
            BackendName::Postgres => Self::Schema(Schema::named(plan.server()?.url())),
        })
    }

    /// The address of the jobs for another process, if it can have one.
    pub(super) fn address(&self) -> Option<OsString> {
        match self {
            Self::Process => None,
            Self::Folder(folder) => Some(folder.path().join("jobs.db").into_os_string()),
            Self::Schema(schema) => Some(schema.url().into()),
        }
    }

    /// Starts to measure the log of the server, if there is one.
    pub(super) fn meter(&self) -> Result<Option<WalMeter>> {
        match self {
            Self::Process | Self::Folder(_) => Ok(None),
            Self::Schema(schema) => Ok(Some(WalMeter::start(schema.server())?)),
        }
    }
}
