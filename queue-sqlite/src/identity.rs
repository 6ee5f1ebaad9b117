//! Checks that the open files are still at their paths.
//!
//! SQLite continues to write to removed or replaced files and reports success. The next program
//! opens the file at the path, so commits to the old files are lost.

use std::ffi::OsString;
use std::fmt;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use queue_core::{Error, ErrorKind};

/// The files of one open database. Create it only after the connection has opened all of them.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    database: OpenFile,
    log: OpenFile,
    index: OpenFile,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    id: FileId,
}

/// Why the open files are lost.
#[derive(Debug, Clone)]
pub(crate) struct FilesLost {
    path: PathBuf,
    cause: Cause,
    pub(crate) log: LogAtPath,
}

/// The owner of the write-ahead log at the path, when the open files are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogAtPath {
    /// The open log, with its index.
    Ours,
    /// None: no other program has begun a log after this one was removed.
    None,
    /// Perhaps a log of another program.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    Removed,
    Replaced,
    LeftBehind,
    Unreadable(String),
}

/// The database file at a path before a connection opened it, if there was one.
#[derive(Debug)]
pub(crate) struct FileBefore(Option<FileId>);

impl FileBefore {
    /// Looks at the path.
    pub(crate) fn at(path: &Path) -> Self {
        Self(look_at(path).ok().map(|seen| seen.id))
    }

    /// Creates an empty file if there is none, so that there is a file to look at. SQLite makes a
    /// database of it. Never opens a file that exists: closing it would release the locks of this
    /// process on it. SQLite reports an error. Its rights are those of the umask, also for the
    /// group, which SQLite would never let write.
    pub(crate) fn create(path: &Path) -> Self {
        let _ = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
        Self::at(path)
    }
}

impl OpenFiles {
    /// Records the files that are at their paths now. Fails if the database is not the file that
    /// was at its path before it was opened: the connection may have opened either of them.
    pub(crate) fn of(path: &Path, before: &FileBefore) -> Result<Self, FilesLost> {
        // SQLite puts log and index beside the file that a symbolic link leads to.
        let real = std::fs::canonicalize(path).map_err(|error| FilesLost::new(path, error.into()))?;
        let database = OpenFile::at(path.to_owned())?;
        if before.0 != Some(database.id) {
            return Err(FilesLost::new(path, Cause::Replaced));
        }
        let (log, index) = (with_suffix(&real, "-wal"), with_suffix(&real, "-shm"));
        Ok(Self { database, log: OpenFile::at(log)?, index: OpenFile::at(index)? })
    }

    /// Checks that the open files are at their paths. Returns the size of the log in bytes.
    ///
    /// A copy over the same file (`cp backup.db jobs.db`) is not noticed.
    pub(crate) fn check(&self) -> Result<u64, FilesLost> {
        let (database, log, index) = (self.database.check(), self.log.check(), self.index.check());
        let at_path = match (&log, &index) {
            (Ok(_), Ok(_)) => LogAtPath::Ours,
            (Err(Cause::Removed), Ok(_) | Err(Cause::Removed)) => LogAtPath::None,
            _ => LogAtPath::Unknown,
        };
        let lost = |path: &Path, cause| FilesLost { log: at_path, ..FilesLost::new(path, cause) };
        database.map_err(|cause| lost(&self.database.path, cause))?;
        let log = log.map_err(|cause| lost(&self.log.path, cause))?;
        index.map_err(|cause| lost(&self.index.path, cause))?;
        Ok(log)
    }

    /// Checks the files of a commit, which are the database and its log. Returns the size of the
    /// log in bytes. Checking two files instead of three saves 1 µs of the 30 µs that a commit of
    /// one job takes without the disk.
    pub(crate) fn check_commit(&self) -> Result<u64, FilesLost> {
        match (self.database.check(), self.log.check()) {
            (Ok(_), Ok(log)) => Ok(log),
            _ => self.check(),
        }
    }

    /// Checks that the log of these closed files is not at the path of another database. Otherwise
    /// SQLite would read it as a part of that database.
    pub(crate) fn check_left_log(&self) -> Result<(), FilesLost> {
        let is_replaced = self.database.check().is_err();
        match self.log.check() {
            Ok(bytes) if is_replaced && bytes > 0 => Err(FilesLost::new(&self.log.path, Cause::LeftBehind)),
            _ => Ok(()),
        }
    }
}

impl OpenFile {
    fn at(path: PathBuf) -> Result<Self, FilesLost> {
        match look_at(&path) {
            Ok(Seen { id, .. }) => Ok(Self { path, id }),
            Err(error) => Err(FilesLost::new(&path, error.into())),
        }
    }

    /// The size of the file in bytes. Fails if another file is at the path.
    fn check(&self) -> Result<u64, Cause> {
        let seen = look_at(&self.path)?;
        if seen.id == self.id { Ok(seen.bytes) } else { Err(Cause::Replaced) }
    }
}

/// The state of the file at a path.
struct Seen {
    id: FileId,
    bytes: u64,
}

/// Requests no timestamps. Since version 6.13, Linux notes that a timestamp was read and gives the
/// next write a new one. Each commit then changes the metadata of the log and waits for the file
/// system's journal. Measured on ext4: 290 µs instead of 225 µs per commit.
#[cfg(target_os = "linux")]
fn look_at(path: &Path) -> io::Result<Seen> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO | StatxFlags::SIZE) {
        Ok(seen) => {
            let device = u64::from(seen.stx_dev_major) << 32 | u64::from(seen.stx_dev_minor);
            Ok(Seen { id: (device, seen.stx_ino), bytes: seen.stx_size })
        }
        // Linux before 4.11 does not have this call.
        Err(rustix::io::Errno::NOSYS) => seen(&std::fs::metadata(path)?),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn look_at(path: &Path) -> io::Result<Seen> {
    seen(&std::fs::metadata(path)?)
}

/// Device and inode, which are unique while the file is open.
#[cfg(unix)]
type FileId = (u64, u64);

#[cfg(unix)]
fn seen(metadata: &Metadata) -> io::Result<Seen> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(Seen { id: (metadata.dev(), metadata.ino()), bytes: metadata.len() })
}

/// The standard library has no file number here, so all files are equal. On Windows, an open SQLite
/// file cannot be removed or replaced.
#[cfg(not(unix))]
type FileId = ();

#[cfg(not(unix))]
fn seen(metadata: &Metadata) -> io::Result<Seen> {
    Ok(Seen { id: (), bytes: metadata.len() })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Removed,
            _ => Self::Unreadable(error.to_string()),
        }
    }
}

impl FilesLost {
    fn new(path: &Path, cause: Cause) -> Self {
        Self { path: path.to_owned(), cause, log: LogAtPath::Unknown }
    }

    pub(crate) fn error(&self, kind: ErrorKind, operation: &str) -> Error {
        Error::new(kind, operation.to_owned(), self.to_string())
    }
}

impl fmt::Display for FilesLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            Cause::Removed => write!(
                f,
                "`{path}`: the open file is no longer at its path: it was removed or moved; put it back, otherwise \
                 the next request opens the file at the path"
            ),
            Cause::Replaced => write!(
                f,
                "`{path}`: the open file is no longer at its path: another file replaced it; the next request \
                 opens the file at the path"
            ),
            Cause::LeftBehind => write!(
                f,
                "`{path}`: it is the log of a database that was removed or replaced; stop all programs that have it \
                 open, then remove it together with the file that ends in `-shm`"
            ),
            Cause::Unreadable(error) => {
                write!(f, "`{path}`: cannot check whether the open file is still at its path: {error}")
            }
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;

    use super::*;

    fn files() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("jobs.db");
        for suffix in ["", "-wal", "-shm"] {
            fs::write(with_suffix(&path, suffix), suffix).unwrap();
        }
        (folder, path)
    }

    fn open(path: &Path) -> Result<OpenFiles, FilesLost> {
        OpenFiles::of(path, &FileBefore::at(path))
    }

    #[test]
    fn file_that_was_replaced_while_it_was_opened_is_refused() {
        let (folder, path) = files();
        let before = FileBefore::at(&path);
        fs::rename(&path, folder.path().join("away")).unwrap();
        fs::write(&path, "another").unwrap();
        assert_eq!(OpenFiles::of(&path, &before).unwrap_err().cause, Cause::Replaced);
    }

    #[test]
    fn only_a_missing_file_is_created() {
        let (folder, path) = files();
        fs::write(&path, "content").unwrap();
        assert_eq!(FileBefore::create(&path).0, FileBefore::at(&path).0);
        assert_eq!(fs::read_to_string(&path).unwrap(), "content");
        let missing = folder.path().join("missing.db");
        assert!(FileBefore::at(&missing).0.is_none());
        assert!(FileBefore::create(&missing).0.is_some());
        assert_eq!(fs::read(&missing).unwrap(), b"");
        assert!(FileBefore::create(&folder.path().join("no/such/folder.db")).0.is_none());
    }

    #[test]
    fn files_at_their_paths_pass_the_check() {
        let (_folder, path) = files();
        assert_eq!(open(&path).unwrap().check().unwrap(), 4);
    }

    #[test]
    fn removed_or_replaced_file_is_named() {
        for (suffix, log) in [("", LogAtPath::Ours), ("-wal", LogAtPath::None), ("-shm", LogAtPath::Unknown)]
        {
            let (folder, path) = files();
            let opened = open(&path).unwrap();
            let file = with_suffix(&path, suffix);
            fs::rename(&file, folder.path().join("away")).unwrap();
            let lost = opened.check().unwrap_err();
            assert!(lost.to_string().contains(&format!("`{}`", file.display())), "{lost}");
            assert!(lost.cause == Cause::Removed && lost.log == log, "{lost:?}");
            fs::write(&file, "another").unwrap();
            let lost = opened.check().unwrap_err();
            assert!(lost.to_string().contains("another file replaced it"), "{lost}");
            assert_eq!(lost.cause, Cause::Replaced);
            assert!(lost.log != LogAtPath::None, "{lost:?}");
        }
    }

    #[test]
    fn log_of_a_link_is_beside_its_target() {
        let (folder, path) = files();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let opened = open(&link).unwrap();
        opened.check().unwrap();
        fs::remove_file(&link).unwrap();
        assert_eq!(opened.check().unwrap_err().cause, Cause::Removed);
    }
}
