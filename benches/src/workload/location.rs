//! What the store of one measurement lives in.

use std::ffi::OsString;

use anyhow::Result;
use tempfile::TempDir;

use crate::cli::BackendName;
use crate::plan::Plan;
use crate::postgres::{Schema, WalMeter};

/// Empty at first, and removed with the value.
#[derive(Debug)]
pub(super) enum Ground {
    /// The memory of this process.
    Process,
    /// A folder for a file.
    Folder(TempDir),
    /// A schema, which the backend makes.
    Schema(Schema),
}

impl Ground {
    /// New ground for the plan.
    pub(super) fn new(plan: &Plan) -> Result<Self> {
        Ok(match plan.backend {
            BackendName::Memory => Self::Process,
            BackendName::Sqlite => Self::Folder(plan.scratch()?),
            BackendName::Postgres => Self::Schema(Schema::named(plan.server()?.url())),
        })
    }

    /// Where another process finds the same jobs, if one can.
    pub(super) fn address(&self) -> Option<OsString> {
        match self {
            Self::Process => None,
            Self::Folder(folder) => Some(folder.path().join("jobs.db").into_os_string()),
            Self::Schema(schema) => Some(schema.url().into()),
        }
    }

    /// Begins to count what the server logs, if there is one.
    pub(super) fn meter(&self) -> Result<Option<WalMeter>> {
        match self {
            Self::Process | Self::Folder(_) => Ok(None),
            Self::Schema(schema) => Ok(Some(WalMeter::start(schema.server())?)),
        }
    }
}
