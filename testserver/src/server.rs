//! Runs a PostgreSQL server for one test or bench.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, bail};

use crate::folder::Folder;
use crate::keeper::{self, Keeper};
use crate::{Options, Programs, configuration, port};

/// Maximum number of attempts to get a port that another process uses, and the pause between two
/// attempts. Connections of earlier clients may need time to close.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// A PostgreSQL server on a free port of 127.0.0.1, with the superuser `postgres`, the database
/// `postgres` and no passwords. Dropping this stops the server and removes its folder. Both also
/// happen after this process is killed.
///
/// ```no_run
/// use queue_testserver::{Options, Server, Shutdown};
///
/// # fn main() -> anyhow::Result<()> {
/// let mut server = Server::start(&Options::throwaway().parameter("log_statement", "all"))?;
/// assert!(server.url().starts_with("postgres://postgres@127.0.0.1:"));
/// server.restart(Shutdown::Immediate)?; // as after a crash; all commits are kept
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a server that is dropped stops"]
pub struct Server {
    // Fields are dropped in this order: the server ends before its folder is removed.
    running: Option<Keeper>,
    folder: Folder,
    programs: Programs,
    port: u16,
}

/// How a server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Sessions are rolled back and data is written.
    Fast,
    /// The server stops at once, as in a crash. The next start recovers all commits.
    Immediate,
}

impl Server {
    /// Creates a server and waits until it accepts connections, which takes about a second.
    pub fn start(options: &Options) -> Result<Self> {
        let programs = Programs::find(options)?;
        let folder = Folder::create(&options.folders, options.progress)?;
        initialize(&programs, &folder).context("failed to create a PostgreSQL server")?;
        configuration::write(&folder, options)?;
        let mut server = Self { running: None, folder, programs, port: 0 };
        server.run(|_| port::free())?;
        Ok(server)
    }

    /// The URL of the database `postgres` as its superuser.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The port, which does not change on a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the server. `data` contains the data, `postgres.log` the log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The programs of this server.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The process id of the postmaster, while the server runs.
    pub fn process_id(&self) -> Option<u32> {
        self.running.as_ref()?;
        fs::read_to_string(self.state()).ok()?.lines().next()?.parse().ok()
    }

    /// Stops the server and waits for its end. Does nothing if the server is stopped.
    pub fn stop(&mut self, shutdown: Shutdown) -> Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let signal = match shutdown {
            Shutdown::Fast => "INT",
            Shutdown::Immediate => "QUIT",
        };
        // A crashed server counts as stopped.
        running.send(signal).ok();
        running.wait().context("failed to stop PostgreSQL")?;
        fs::remove_file(self.state()).ok();
        Ok(())
    }

    /// Starts the server on the same port and data, and waits until it accepts connections. Does
    /// nothing if the server runs.
    pub fn start_again(&mut self) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        self.run(Ok)
    }

    /// Stops the server and starts it on the same port and data.
    pub fn restart(&mut self, shutdown: Shutdown) -> Result<()> {
        self.stop(shutdown)?;
        self.start_again()
    }

    /// Runs the server on the port that `next_port` returns. Repeats that if another process uses
    /// the port.
    fn run(&mut self, next_port: impl Fn(u16) -> Result<u16>) -> Result<()> {
        for _ in 0..TRIES {
            self.port = next_port(self.port)?;
            let mut program = self.programs.command("postgres");
            program.args(["-D", "data", "-p", &self.port.to_string()]);
            let keeper = Keeper::start(&self.folder, "QUIT", "postgres.log", &program)?;
            let state = self.state();
            // The last line of this file, because a connection could reach another server on the
            // port.
            let ready = || fs::read_to_string(&state).is_ok_and(|text| text.trim_end().ends_with("\nready"));
            self.running = keeper.listening(ready).context("failed to start PostgreSQL")?;
            if self.running.is_some() {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        bail!("failed to start PostgreSQL: port {} of 127.0.0.1 is in use", self.port)
    }

    /// The file with the state of a running server.
    fn state(&self) -> PathBuf {
        self.folder.path().join("data/postmaster.pid")
    }
}

fn initialize(programs: &Programs, folder: &Folder) -> Result<()> {
    let mut initdb: Command = programs.command("initdb");
    initdb.args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]);
    keeper::run(folder, &initdb)
}
