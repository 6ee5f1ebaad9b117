//! The programs of a PostgreSQL server on this machine.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::install;
use crate::search::Search;

/// A folder with the programs of one version of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Finds the programs, and on Debian installs them for root if there are none; `progress` is given a
    /// line then.
    ///
    /// Looked at, in this order: the folder that `QUEUE_TEST_POSTGRES_BIN` names, the folders of `PATH`, and
    /// those that packages of PostgreSQL use, the newest version first.
    pub fn find(progress: fn(&str)) -> Result<Self> {
        let search = Search::of_this_system();
        if let Some(folder) = search.find()? {
            return Ok(Self { folder });
        }
        install::package("postgresql", progress, || search.find().map(|found| found.is_some()))
            .context("found no PostgreSQL server")?;
        let folder = search.find()?.context("the installed package has no PostgreSQL server")?;
        Ok(Self { folder })
    }

    /// The folder they are in.
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

    /// One of the programs, such as `psql`, free of settings that the environment has for other servers.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join(name));
        let theirs = |name: &OsStr| name.to_string_lossy().starts_with("PG");
        for (name, _) in env::vars_os().filter(|(name, _)| theirs(name)) {
            command.env_remove(name);
        }
        // In English, since we read it. The time zone would otherwise be guessed, which takes long.
        command.env("LC_ALL", "C").env("TZ", "UTC");
        command
    }
}
