//! What a user may set, with its defaults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use queue_core::{Error, ErrorKind, Result};

/// How long an operation waits for a lock that another program holds, unless set otherwise.
pub const DEFAULT_BUSY_WAIT: Duration = Duration::from_secs(5);

/// The page cache of the writing connection unless set otherwise: 64 MiB.
pub const DEFAULT_CACHE_BYTES: u64 = 8 << 20;

/// After how many pages the write-ahead log is moved into the file, unless set otherwise.
pub const DEFAULT_CHECKPOINT_PAGES: u32 = 1000;

/// How long the file of the write-ahead log may stay once nobody reads from it, unless set
/// otherwise: 64 MiB.
pub const DEFAULT_LOG_BYTES: u64 = 64 << 20;

/// The page size of a file that is created, in bytes, unless set otherwise.
pub const DEFAULT_PAGE_BYTES: u32 = 4096;

/// How many connections read beside the writer, unless set otherwise.
pub const DEFAULT_READERS: u32 = 2;

/// How often other processes' commits are looked for, unless set otherwise.
pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_millis(4);

/// What an opening does where there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    /// Creates it.
    Create,
    /// Fails. A file that was removed is never created again: the program that removed it may have
    /// moved it away, and its jobs with it.
    Fail,
}

/// Where the jobs are stored, and how.
///
/// The tables may stand in a file of their own or in the application's beside its tables: all names
/// begin with `queue_`, and neither `user_version` nor `application_id` is touched. The file is put
/// into WAL mode, and stays in it.
///
/// ```
/// use queue_sqlite::{SqliteConfig, Synchronous};
///
/// let config = SqliteConfig::from_url("sqlite:///var/lib/shop/jobs.db")?
///     .synchronous(Synchronous::Extra)
///     .cache_bytes(16 << 20);
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteConfig {
    pub(crate) location: Location,
    pub(crate) synchronous: Synchronous,
    pub(crate) busy_wait: Duration,
    pub(crate) cache_bytes: u64,
    pub(crate) checkpoint_pages: u32,
    pub(crate) log_bytes: u64,
    pub(crate) page_bytes: u32,
    pub(crate) max_file_bytes: Option<u64>,
    pub(crate) readers: u32,
    pub(crate) poll_interval: Duration,
    pub(crate) if_missing: IfMissing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    File(PathBuf),
    Memory,
}

/// What a commit waits for. See [`PRAGMA synchronous`](https://www.sqlite.org/pragma.html#pragma_synchronous).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Nothing. A crash of the *machine* can lose any number of acknowledged jobs and can destroy
    /// the whole file, with the application's tables in it; a crash of the program alone loses nothing.
    Off,
    /// Only a checkpoint waits for the disk. A crash of the machine can lose the last acknowledged
    /// commits, and a job that was completed in them runs again; the file stays sound.
    Normal,
    /// Every commit is on disk before it is acknowledged. The default.
    #[default]
    Full,
    /// Like `Full`; outside of WAL mode it also syncs the directory.
    Extra,
}

impl Synchronous {
    pub(crate) const fn level(self) -> i64 {
        match self {
            Self::Off => 0,
            Self::Normal => 1,
            Self::Full => 2,
            Self::Extra => 3,
        }
    }
}

impl SqliteConfig {
    /// The file at this path, which is created if it does not exist; its folder must.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::at(Location::File(path.into()))
    }

    /// A storage of its own in this process's memory, gone when the last handle is dropped.
    pub const fn in_memory() -> Self {
        Self::at(Location::Memory)
    }

    pub(crate) const fn at(location: Location) -> Self {
        Self {
            location,
            synchronous: Synchronous::Full,
            busy_wait: DEFAULT_BUSY_WAIT,
            cache_bytes: DEFAULT_CACHE_BYTES,
            checkpoint_pages: DEFAULT_CHECKPOINT_PAGES,
            log_bytes: DEFAULT_LOG_BYTES,
            page_bytes: DEFAULT_PAGE_BYTES,
            max_file_bytes: None,
            readers: DEFAULT_READERS,
            poll_interval: DEFAULT_POLL_INTERVAL,
            if_missing: IfMissing::Create,
        }
    }

    /// Does not create the file: where there is none, `open` fails with
    /// [`Unavailable`](queue_core::ErrorKind::Unavailable) (default: it is created).
    pub const fn must_exist(mut self) -> Self {
        self.if_missing = IfMissing::Fail;
        self
    }

    /// With the path as it is from the current folder, because the program may change its folder
    /// while the handle is open, and connections are opened later.
    pub(crate) fn with_absolute_path(mut self) -> Result<Self> {
        if let Location::File(path) = &mut self.location {
            *path = std::path::absolute(&*path).map_err(|error| {
                let message = format!("`{}`: the path cannot be resolved: {error}", path.display());
                Error::new(ErrorKind::Unavailable, "open the database", message).with_source(error)
            })?;
        }
        Ok(self)
    }

    /// What a commit waits for; [`Synchronous::Full`] unless said.
    pub const fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How long an operation waits for a lock that another program, or the application itself, holds
    /// before it fails with [`Busy`](queue_core::ErrorKind::Busy); [`DEFAULT_BUSY_WAIT`] unless said.
    pub const fn busy_wait(mut self, duration: Duration) -> Self {
        self.busy_wait = duration;
        self
    }

    /// The page cache of the writing connection in bytes, at most; [`DEFAULT_CACHE_BYTES`] unless
    /// said. It is filled only as far as the file is.
    pub const fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// After how many pages of write-ahead log a commit also moves them into the file;
    /// [`DEFAULT_CHECKPOINT_PAGES`] unless said. More makes bursts faster and the log longer; 0
    /// leaves checkpoints to the application, and with them the length of the log.
    pub const fn checkpoint_pages(mut self, pages: u32) -> Self {
        self.checkpoint_pages = pages;
        self
    }

    /// How long the file of the write-ahead log may stay, in bytes (default:
    /// [`DEFAULT_LOG_BYTES`]).
    ///
    /// The log grows beyond it while a program reads one snapshot for long, because nothing behind
    /// that snapshot may be overwritten. Afterwards the log is emptied within a second or two, also
    /// if nothing is written. Choose several times what
    /// [`checkpoint_pages`](Self::checkpoint_pages) come to, because an emptied log has to grow
    /// again.
    pub const fn log_bytes(mut self, bytes: u64) -> Self {
        self.log_bytes = bytes;
        self
    }

    /// The page size of a file that is created, a power of two from 512 to 65536;
    /// [`DEFAULT_PAGE_BYTES`] unless said. A file that exists keeps its own.
    pub const fn page_bytes(mut self, bytes: u32) -> Self {
        self.page_bytes = bytes;
        self
    }

    /// How large the queue lets the file grow, in bytes rounded up to pages; no limit unless said.
    /// Beyond it, what would need space fails with [`Unavailable`](queue_core::ErrorKind::Unavailable).
    pub const fn max_file_bytes(mut self, bytes: u64) -> Self {
        self.max_file_bytes = Some(bytes);
        self
    }

    /// How many connections serve reads, so that they never wait for writes; at least 1,
    /// [`DEFAULT_READERS`] unless said. In memory the one connection serves all.
    pub const fn readers(mut self, readers: u32) -> Self {
        self.readers = readers;
        self
    }

    /// How often the file is looked at for commits of other processes, while somebody subscribes to
    /// wake-ups; at least 1 ms, [`DEFAULT_POLL_INTERVAL`] unless said. One look takes a few microseconds.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// The file; `None` in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.location {
            Location::File(path) => Some(path),
            Location::Memory => None,
        }
    }
}
