//! Installing a Debian package, for root on Debian only.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Installs without starting anything.
const INSTALL: &str = include_str!("sh/install.sh");

/// Locked while a package is installed. Only root may write there, and it exists wherever apt-get does.
const LOCK: &str = "/var/cache/apt/queue-testserver.lock";

/// Installs a package unless it is `present`, which is asked again when nobody else is installing.
pub(crate) fn package(name: &str, progress: fn(&str), present: impl Fn() -> Result<bool>) -> Result<()> {
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("please install {name}");
    }
    if !is_root()? {
        bail!("please install it: sudo apt-get install {name}");
    }
    let lock = File::create(LOCK).with_context(|| format!("failed to open {LOCK}"))?;
    lock.lock().with_context(|| format!("failed to lock {LOCK}"))?;
    if present()? {
        return Ok(());
    }
    progress(&format!("installing the Debian package {name}, once for this machine"));
    // Not in our process group: what Ctrl-C interrupts here would have to be repaired by hand.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", INSTALL, "sh", name]).process_group(0).stdin(Stdio::null());
    let output = shell.output().context("failed to start a shell")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    ensure!(output.status.success(), "failed to install the Debian package {name}: {last}");
    Ok(())
}

/// Whoever owns the entry of our process is who we are. Debian has these entries, and only Debian gets here.
fn is_root() -> Result<bool> {
    Ok(fs::metadata("/proc/self").context("failed to look at /proc/self")?.uid() == 0)
}
