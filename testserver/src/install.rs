//! Installs a Debian package: only on Debian, only for root, and only if that is allowed.

use std::env;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::account::is_root;

/// Installs without starting a service.
const INSTALL: &str = include_str!("sh/install.sh");

/// Locked during an installation. Only root may write to this folder, and it exists on each system
/// with apt-get.
const LOCK: &str = "/var/cache/apt/queue-testserver.lock";

/// Allows root to install what is missing if it is `1`. So does `CI` if it is `1` or `true`.
/// `cargo xtask test` sets it.
pub const INSTALL_VARIABLE: &str = "QUEUE_TEST_INSTALL";

/// Whether the environment allows to install packages.
pub(crate) fn is_allowed() -> bool {
    env::var_os("CI").is_some_and(|value| value == "1" || value == "true")
        || env::var_os(INSTALL_VARIABLE).is_some_and(|value| value == "1")
}

/// Installs a package unless `present` returns true. Calls `present` again under the lock.
pub(crate) fn package(
    name: &str,
    allowed: bool,
    progress: fn(&str),
    present: impl Fn() -> Result<bool>,
) -> Result<()> {
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("please install {name}");
    }
    if !is_root()? {
        bail!("please install it: sudo apt-get install {name}");
    }
    if !allowed {
        bail!(
            "please install it: apt-get install {name} (or set {INSTALL_VARIABLE}=1, to let the tests do it)"
        );
    }
    let lock = File::create(LOCK).with_context(|| format!("failed to open {LOCK}"))?;
    lock.lock().with_context(|| format!("failed to lock {LOCK}"))?;
    if present()? {
        return Ok(());
    }
    progress(&format!("installing the Debian package {name}, once for this machine"));
    // A separate process group, because an installation interrupted by Ctrl-C needs a manual
    // repair.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", INSTALL, "sh", name]).process_group(0).stdin(Stdio::null());
    let output = shell.output().context("failed to start a shell")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    ensure!(output.status.success(), "failed to install the Debian package {name}: {last}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_consent_the_error_names_the_command() {
        let error = package("no-such-package", false, |_| {}, || Ok(false)).unwrap_err().to_string();
        let command =
            if Path::new("/usr/bin/apt-get").exists() { "apt-get install no-such-package" } else { "" };
        assert!(error.starts_with("please install") && error.contains(command), "{error}");
    }
}
