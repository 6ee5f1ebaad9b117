//! A PostgreSQL server of one's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, bail};

use crate::folder::Folder;
use crate::keeper::{self, Keeper};
use crate::{Options, Programs, configuration, port};

/// How often to try another port, or the same one again, if somebody else has it, and how long to wait
/// before: what is left of a client that was connected may go.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// A PostgreSQL server on a free port of 127.0.0.1, with the superuser and the database `postgres` and without
/// passwords. Dropped, it stops and its folder is removed; so it is if this process is killed.
///
/// ```no_run
/// use queue_testserver::{Options, Server, Shutdown};
///
/// # fn main() -> anyhow::Result<()> {
/// let mut server = Server::start(&Options::throwaway().parameter("log_statement", "all"))?;
/// assert!(server.url().starts_with("postgres://postgres@127.0.0.1:"));
/// server.restart(Shutdown::Immediate)?; // as after a crash; everything that was committed is there
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    // The order matters: dropped in this one, the server ends before its folder does.
    running: Option<Keeper>,
    folder: Folder,
    programs: Programs,
    port: u16,
}

/// What becomes of the sessions of a server that stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// They are ended and rolled back, and the data is written: the orderly way.
    Fast,
    /// Everything stops where it is, as in a crash. The next start recovers what was committed.
    Immediate,
}

impl Server {
    /// Makes a new server and waits until it accepts connections, which takes about a second.
    pub fn start(options: &Options) -> Result<Self> {
        let programs = Programs::find(options.progress)?;
        let folder = Folder::create(options.folder.as_deref())?;
        initialize(&programs, &folder).context("failed to make a PostgreSQL server")?;
        configuration::write(&folder, options)?;
        let mut server = Self { running: None, folder, programs, port: 0 };
        server.run(|_| port::free())?;
        Ok(server)
    }

    /// The address of the database `postgres` as its superuser, in the form that drivers take.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The port, which stays the same when the server starts again.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its own: the data is in `data` in it, the log in `postgres.log`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The programs that belong to this server.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The id of the server's first process, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.running.as_ref()?;
        fs::read_to_string(self.state()).ok()?.lines().next()?.parse().ok()
    }

    /// Stops the server and waits until it has. Stopping what is stopped does nothing.
    pub fn stop(&mut self, shutdown: Shutdown) -> Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let signal = match shutdown {
            Shutdown::Fast => "INT",
            Shutdown::Immediate => "QUIT",
        };
        // A server that has already crashed is stopped too.
        running.send(signal).ok();
        running.wait().context("failed to stop PostgreSQL")?;
        fs::remove_file(self.state()).ok();
        Ok(())
    }

    /// Starts the server on the same port and data, and waits until it accepts connections. Starting what
    /// runs does nothing.
    pub fn start_again(&mut self) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        self.run(Ok)
    }

    /// Stops the server and starts it again, on the same port and data.
    pub fn restart(&mut self, shutdown: Shutdown) -> Result<()> {
        self.stop(shutdown)?;
        self.start_again()
    }

    /// Runs the server on a port made from the one it had, and tries again if somebody else has that.
    fn run(&mut self, next_port: impl Fn(u16) -> Result<u16>) -> Result<()> {
        for _ in 0..TRIES {
            self.port = next_port(self.port)?;
            let mut program = self.programs.command("postgres");
            program.args(["-D", "data", "-p", &self.port.to_string()]);
            let keeper = Keeper::start(&self.folder, "QUIT", "postgres.log", &program)?;
            let state = self.state();
            // The last line says so; another server on the port could not be told from ours by a connection.
            let ready = || fs::read_to_string(&state).is_ok_and(|text| text.trim_end().ends_with("\nready"));
            self.running = keeper.listening(ready).context("failed to start PostgreSQL")?;
            if self.running.is_some() {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        bail!("failed to start PostgreSQL: port {} of 127.0.0.1 is in use", self.port)
    }

    /// The file in which a running server writes what it is doing.
    fn state(&self) -> PathBuf {
        self.folder.path().join("data/postmaster.pid")
    }
}

fn initialize(programs: &Programs, folder: &Folder) -> Result<()> {
    let mut initdb: Command = programs.command("initdb");
    initdb.args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]);
    keeper::run(folder, &initdb)
}
