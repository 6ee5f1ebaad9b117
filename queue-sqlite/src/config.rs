//! Settings and their defaults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use queue_core::{Error, ErrorKind, Result};

/// Maximum wait of an operation for the lock of another program (default: 5 s).
pub const DEFAULT_BUSY_WAIT: Duration = Duration::from_secs(5);

/// Page cache of the writing connection (default: 8 MiB).
pub const DEFAULT_CACHE_BYTES: u64 = 8 << 20;

/// Number of pages after which the write-ahead log is moved into the file (default: 1000).
pub const DEFAULT_CHECKPOINT_PAGES: u32 = 1000;

/// Maximum size of the write-ahead log while no connection reads from it (default: 64 MiB).
pub const DEFAULT_LOG_BYTES: u64 = 64 << 20;

/// Page size of a new file in bytes (default: 4096).
pub const DEFAULT_PAGE_BYTES: u32 = 4096;

/// Number of reading connections (default: 2).
pub const DEFAULT_READERS: u32 = 2;

/// Interval between two checks for commits of other processes (default: 4 ms).
pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_millis(4);

/// What `open` does if there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    Create,
    /// Fails. A removed file must not be created again: an operator may have moved it away together
    /// with its jobs.
    Fail,
}

/// Where and how jobs are stored.
///
/// The tables may be in a file of their own or in the application's database. All their names begin
/// with `queue_`; `user_version` and `application_id` are never changed. The file is switched to
/// WAL mode and stays in it.
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

/// What a commit waits for, see [`PRAGMA
/// synchronous`](https://www.sqlite.org/pragma.html#pragma_synchronous).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Nothing. A crash of the *machine* can lose any number of acknowledged jobs and can destroy
    /// the whole file, including the application's tables. A crash of only the program loses
    /// nothing.
    Off,
    /// Only a checkpoint waits for the disk. A crash of the machine can lose the last acknowledged
    /// commits. A job that one of them completed then runs again. The file stays intact.
    Normal,
    /// Every commit is on disk before it is acknowledged (default).
    #[default]
    Full,
    /// Like `Full`; outside WAL mode it also syncs the directory.
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
    /// Stores jobs in the file at this path. The file is created if it does not exist; its folder
    /// must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::at(Location::File(path.into()))
    }

    /// Stores jobs in the memory of this process until the last handle is dropped.
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

    /// Requires an existing file: without one, `open` fails with
    /// [`Unavailable`](queue_core::ErrorKind::Unavailable) (default: the file is created).
    pub const fn must_exist(mut self) -> Self {
        self.if_missing = IfMissing::Fail;
        self
    }

    /// Resolves the path against the working directory. Connections are opened later, and the
    /// program may have changed its working directory by then.
    pub(crate) fn with_absolute_path(mut self) -> Result<Self> {
        if let Location::File(path) = &mut self.location {
            *path = std::path::absolute(&*path).map_err(|error| {
                let message = format!("`{}`: the path cannot be resolved: {error}", path.display());
                Error::new(ErrorKind::Unavailable, "open the database", message).with_source(error)
            })?;
        }
        Ok(self)
    }

    /// What a commit waits for (default: [`Synchronous::Full`]).
    pub const fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Maximum wait of an operation for a lock of another program or of the application (default:
    /// [`DEFAULT_BUSY_WAIT`]). The operation then fails with [`Busy`](queue_core::ErrorKind::Busy).
    pub const fn busy_wait(mut self, duration: Duration) -> Self {
        self.busy_wait = duration;
        self
    }

    /// Maximum page cache of the writing connection in bytes (default: [`DEFAULT_CACHE_BYTES`]).
    /// The cache never grows beyond the file.
    pub const fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Number of pages of write-ahead log after which a commit also moves them into the file
    /// (default: [`DEFAULT_CHECKPOINT_PAGES`]). A larger number makes bursts faster and the log
    /// longer. With 0, the application must make the checkpoints and thereby limit the log.
    pub const fn checkpoint_pages(mut self, pages: u32) -> Self {
        self.checkpoint_pages = pages;
        self
    }

    /// Maximum size of the write-ahead log file in bytes (default: [`DEFAULT_LOG_BYTES`]).
    ///
    /// The log grows beyond it during a long read because SQLite keeps each page that a snapshot
    /// needs. After the read, the log is emptied within two seconds, even without writes. Choose
    /// several times the size of [`checkpoint_pages`](Self::checkpoint_pages), because an emptied
    /// log has to grow again.
    pub const fn log_bytes(mut self, bytes: u64) -> Self {
        self.log_bytes = bytes;
        self
    }

    /// Page size of a new file, a power of two from 512 to 65536 (default: [`DEFAULT_PAGE_BYTES`]).
    /// An existing file keeps its page size.
    pub const fn page_bytes(mut self, bytes: u32) -> Self {
        self.page_bytes = bytes;
        self
    }

    /// Maximum size of the file in bytes, rounded up to pages (default: no limit). Beyond it, an
    /// operation that needs space fails with [`Unavailable`](queue_core::ErrorKind::Unavailable).
    pub const fn max_file_bytes(mut self, bytes: u64) -> Self {
        self.max_file_bytes = Some(bytes);
        self
    }

    /// Number of connections that read, so that reads never wait for writes; at least 1 (default:
    /// [`DEFAULT_READERS`]). In memory, one connection serves all requests.
    pub const fn readers(mut self, readers: u32) -> Self {
        self.readers = readers;
        self
    }

    /// Interval between two checks for commits of other processes, at least 1 ms (default:
    /// [`DEFAULT_POLL_INTERVAL`]). The checks run while this process has subscribers to wake-ups.
    /// One check takes a few microseconds.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// The path of the file; `None` in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.location {
            Location::File(path) => Some(path),
            Location::Memory => None,
        }
    }
}
