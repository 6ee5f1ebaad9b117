//! A folder for one server, removed after the server and this process have ended.

use std::env;
use std::fs::{self, Permissions};
use std::io::{self, PipeWriter};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use crate::account::Account;

/// The script that removes the folder after all users of it have ended.
const GUARD: &str = include_str!("sh/guard.sh");

/// Exists until it is dropped. After SIGKILL, which drops nothing, a separate process removes it.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: Option<TempDir>,
    /// The account that runs programs in this folder; `None` is the account of this process.
    account: Option<Account>,
    alive: Option<PipeWriter>,
    guard: Child,
}

impl Folder {
    /// Creates a folder below the first of `parents` that the account of the server has access to.
    /// Without parents, creates it below the system's folder for temporary files.
    pub(crate) fn create(parents: &[PathBuf], progress: fn(&str)) -> Result<Self> {
        let account = Account::for_programs()?;
        // On some systems, the temporary folder of an account is closed to other accounts.
        let temporary = [env::temp_dir(), PathBuf::from("/tmp")];
        let parents = if parents.is_empty() { &temporary } else { parents };
        let parent = first_accessible(parents, account.as_ref(), progress)?;
        let folder = tempfile::Builder::new()
            .prefix("queue-testserver-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .with_context(|| format!("failed to make a folder in {}", parent.display()))?;
        if let Some(account) = &account {
            account.own(folder.path())?;
        }

        let (ended, alive) = io::pipe().context("failed to make a pipe")?;
        let guard = shell(GUARD, folder.path())
            .arg(folder.path())
            .stdin(ended)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start the shell that removes the folder at the end")?;
        Ok(Self { folder: Some(folder), account, alive: Some(alive), guard })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// Writes a file that only the account of the programs can read.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        let failed = || format!("failed to write {}", path.display());
        fs::write(&path, "").with_context(failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).with_context(failed)?;
        fs::write(&path, text).with_context(failed)?;
        if let Some(account) = &self.account {
            account.own(&path)?;
        }
        Ok(path)
    }

    /// A shell that runs this script in the folder under the right account. The folder exists while
    /// the shell runs.
    pub(crate) fn shell(&self, script: &str) -> Result<Command> {
        let mut command = shell(script, self.path());
        let alive = self.alive.as_ref().context("the folder is being removed")?;
        command.stderr(alive.try_clone().context("failed to share a pipe")?);
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        Ok(command)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Removes the folder here first, because that needs no other process. The guard removes
        // what is left.
        drop(self.folder.take());
        drop(self.alive.take());
        self.guard.wait().ok();
    }
}

/// The first of the folders that the account has access to, with links resolved.
fn first_accessible(folders: &[PathBuf], account: Option<&Account>, progress: fn(&str)) -> Result<PathBuf> {
    let mut refusal = None;
    for folder in folders {
        match accessible(folder, account) {
            Ok(folder) => {
                if let Some(refusal) = &refusal {
                    progress(&format!("{refusal:#}; its data is in {} instead", folder.display()));
                }
                return Ok(folder);
            }
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or_else(|| anyhow!("no folder for the server was given")))
}

/// The folder with links resolved, if the account has access to it.
fn accessible(folder: &Path, account: Option<&Account>) -> Result<PathBuf> {
    let folder = fs::canonicalize(folder)
        .with_context(|| format!("failed to find the folder {}", folder.display()))?;
    if let Some(account) = account
        && let Some(closed) = folder.ancestors().find(|above| !account.has_access_to(above))
    {
        bail!("{} runs the server but has no access to {}", account.name, closed.display());
    }
    Ok(folder)
}

/// A shell that does not receive the signals of this terminal.
fn shell(script: &str, folder: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "sh"]).current_dir(folder).process_group(0);
    command
}
