//! The programs of a PostgreSQL server on this machine.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::search::Search;
use crate::{Options, install};

/// A folder with the programs of one version of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Finds the programs. On Debian, root installs them if there are none and the options or the
    /// environment allow it; `progress` gets a line before.
    ///
    /// Searches in this order: the folder in `QUEUE_TEST_POSTGRES_BIN`, the folders of `PATH`, and
    /// the folders of PostgreSQL packages, newest version first.
    pub fn find(options: &Options) -> Result<Self> {
        let search = Search::of_this_system();
        if let Some(folder) = search.find()? {
            return Ok(Self { folder });
        }
        let is_allowed = options.installs || install::is_allowed();
        install::package("postgresql", is_allowed, options.progress, || {
            search.find().map(|found| found.is_some())
        })
        .context("found no PostgreSQL server")?;
        let folder = search.find()?.context("the installed package has no PostgreSQL server")?;
        Ok(Self { folder })
    }

    /// The folder of the programs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The version, such as `15.18`.
    pub fn version(&self) -> Result<String> {
        let output = self.command("postgres").arg("--version").output();
        let output = output.context("failed to start postgres")?;
        ensure!(output.status.success(), "`postgres --version` failed with {}", output.status);
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_whitespace().nth(2).context("`postgres --version` named none")?;
        Ok(version.to_owned())
    }

    /// A command for one of the programs, such as `psql`, without environment settings for other
    /// servers.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join(name));
        let theirs = |name: &OsStr| name.to_string_lossy().starts_with("PG");
        for (name, _) in env::vars_os().filter(|(name, _)| theirs(name)) {
            command.env_remove(name);
        }
        // English, because this crate parses the output. A set time zone avoids a slow guess by
        // `initdb`.
        command.env("LC_ALL", "C").env("TZ", "UTC");
        command
    }
}
