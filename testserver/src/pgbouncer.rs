//! Runs a PgBouncer for one test or bench.

use std::ffi::OsString;
use std::path::{self, PathBuf};
use std::process::Command;
use std::{env, fs, iter};

use anyhow::{Context, Result, bail, ensure};

use crate::folder::Folder;
use crate::keeper::Keeper;
use crate::upstream::Upstream;
use crate::{install, port};

/// Environment variable with the path of the program.
const VARIABLE: &str = "QUEUE_TEST_PGBOUNCER";

/// The path used by packages, which `PATH` often lacks.
const USUAL: &str = "/usr/sbin/pgbouncer";

/// Maximum number of ports to try, because another process may take one.
const TRIES: usize = 20;

/// A PgBouncer on a free port of 127.0.0.1. It assigns a server connection to a client for one
/// transaction (`pool_mode = transaction`). It ends when this is dropped or when this process ends.
///
/// ```no_run
/// # fn main() -> anyhow::Result<()> {
/// let pooled = queue_testserver::PgBouncer::start(&queue_testserver::url()?)?;
/// assert_ne!(pooled.url(), queue_testserver::url()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a pooler that is dropped stops"]
pub struct PgBouncer {
    // Fields are dropped in this order: the program ends before its folder is removed.
    _running: Keeper,
    _folder: Folder,
    url: String,
}

impl PgBouncer {
    /// Starts a PgBouncer in front of a server and waits until it accepts connections.
    ///
    /// Uses the program in `QUEUE_TEST_PGBOUNCER`, otherwise one in `PATH` or `/usr/sbin`. On
    /// Debian, root installs it if there is none. All clients share the user of `upstream_url`.
    pub fn start(upstream_url: &str) -> Result<Self> {
        let upstream = Upstream::parse(upstream_url)?;
        let program = program()?;
        let folder = Folder::create(&[], |_| {})?;
        for _ in 0..TRIES {
            let port = port::free()?;
            folder.write("pgbouncer.ini", &configuration(&upstream, port))?;
            let mut command = Command::new(&program);
            command.arg("pgbouncer.ini").env("LC_ALL", "C");
            // Because newer versions wait for their clients on other signals, and there is no data
            // to save.
            let running = Keeper::start(&folder, "KILL", "pgbouncer.log", &command)?;
            let log = folder.path().join("pgbouncer.log");
            let ready = || fs::read_to_string(&log).is_ok_and(|text| text.contains("process up"));
            if let Some(running) = running.listening(ready).context("failed to start PgBouncer")? {
                return Ok(Self { _running: running, _folder: folder, url: upstream.url_at(port) });
            }
        }
        bail!("failed to start PgBouncer: {TRIES} ports of 127.0.0.1 were in use")
    }

    /// The URL of the same database as the same user, through this PgBouncer.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn program() -> Result<PathBuf> {
    if let Some(chosen) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        let program = path::absolute(chosen).with_context(|| format!("failed to read {VARIABLE}"))?;
        ensure!(program.is_file(), "{VARIABLE} names {}, which is not a file", program.display());
        return Ok(program);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let find = || find(&path);
    if let Some(program) = find() {
        return Ok(program);
    }
    install::package("pgbouncer", install::is_allowed(), |_| {}, || Ok(find().is_some()))
        .context("found no PgBouncer")?;
    find().context("the installed package has no PgBouncer")
}

fn find(path: &OsString) -> Option<PathBuf> {
    let folders = env::split_paths(path).filter(|folder| folder.is_absolute());
    let mut candidates = folders.map(|folder| folder.join("pgbouncer")).chain(iter::once(USUAL.into()));
    candidates.find(|program| program.is_file())
}

fn configuration(upstream: &Upstream<'_>, port: u16) -> String {
    format!(
        "[databases]\n\
         * = {}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = transaction\n\
         max_client_conn = 2000\n\
         default_pool_size = 20\n\
         server_lifetime = 10\n\
         server_login_retry = 0.1\n\
         ignore_startup_parameters = extra_float_digits\n",
        upstream.connection(),
    )
}
