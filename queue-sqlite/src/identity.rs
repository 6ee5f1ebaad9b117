//! Which files a connection has open, and whether they are still at their paths.
//!
//! SQLite goes on writing to files that were removed or replaced, and reports success. The next
//! program opens what is at the path, so what was committed to the old files is lost to it.

use std::ffi::OsString;
use std::fmt;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use queue_core::{Error, ErrorKind};

/// The files of one open database. Taken once the connection has all of them open.
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

/// What is wrong with the files that are open.
#[derive(Debug, Clone)]
pub(crate) struct FilesLost {
    path: PathBuf,
    cause: Cause,
    pub(crate) log: LogAtPath,
}

/// Whose write-ahead log is at its path while the open files are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogAtPath {
    /// The one that is open, with its index.
    Ours,
    /// None: no other program has begun one since ours was removed.
    None,
    /// Perhaps that of another program.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    Removed,
    Replaced,
    LeftBehind,
    Unreadable(String),
}

impl OpenFiles {
    /// The files that are at their paths now.
    pub(crate) fn of(path: &Path) -> Result<Self, FilesLost> {
        // SQLite puts log and index beside the file that a symbolic link leads to.
        let real = std::fs::canonicalize(path).map_err(|error| FilesLost::new(path, error.into()))?;
        Ok(Self {
            database: OpenFile::at(path.to_owned())?,
            log: OpenFile::at(with_suffix(&real, "-wal"))?,
            index: OpenFile::at(with_suffix(&real, "-shm"))?,
        })
    }

    /// Checks that the open files are the ones at their paths. Returns the size of the log in
    /// bytes.
    ///
    /// Content that is copied over the same file (`cp backup.db jobs.db`) is not noticed.
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

    /// Checks the files into which a commit went, which are the database and its log. Returns the size
    /// of the log in bytes. Costs a microsecond less than a look at all three, of some thirty that a
    /// commit of one job takes without the disk.
    pub(crate) fn check_commit(&self) -> Result<u64, FilesLost> {
        match (self.database.check(), self.log.check()) {
            (Ok(_), Ok(log)) => Ok(log),
            _ => self.check(),
        }
    }

    /// Checks that the log of these files, which are closed, is not at the path of another
    /// database: SQLite would take its content for a part of that one.
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

    /// The bytes of the file, if it is the one at the path.
    fn check(&self) -> Result<u64, Cause> {
        let seen = look_at(&self.path)?;
        if seen.id == self.id { Ok(seen.bytes) } else { Err(Cause::Replaced) }
    }
}

/// What is at a path.
struct Seen {
    id: FileId,
    bytes: u64,
}

/// Asks for no times. Since version 6.13 Linux notes that a time was read, and gives the next write a
/// time of its own; the log is then written with new metadata by each commit, and waits for the
/// journal of the file system as well. Measured with ext4: 290 µs instead of 225 µs a commit.
#[cfg(target_os = "linux")]
fn look_at(path: &Path) -> io::Result<Seen> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO | StatxFlags::SIZE) {
        Ok(seen) => {
            let device = u64::from(seen.stx_dev_major) << 32 | u64::from(seen.stx_dev_minor);
            Ok(Seen { id: (device, seen.stx_ino), bytes: seen.stx_size })
        }
        // Older than 4.11, which has no such call.
        Err(rustix::io::Errno::NOSYS) => seen(&std::fs::metadata(path)?),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn look_at(path: &Path) -> io::Result<Seen> {
    seen(&std::fs::metadata(path)?)
}

/// Device and inode, which no other file has while this one is open.
#[cfg(unix)]
type FileId = (u64, u64);

#[cfg(unix)]
fn seen(metadata: &Metadata) -> io::Result<Seen> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(Seen { id: (metadata.dev(), metadata.ino()), bytes: metadata.len() })
}

/// All files are equal where the standard library has no number for them. Windows lets nobody remove
/// or replace a file that SQLite has open.
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

    /// A file that was moved between the opening of the connection and the look at its path.
    pub(crate) fn replaced(path: &Path) -> Self {
        Self::new(path, Cause::Replaced)
    }

    /// The error for the caller.
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
                "`{path}`: the file that is open is no longer at its path: it was removed or moved; put it back, \
                 the next request opens what is at the path"
            ),
            Cause::Replaced => write!(
                f,
                "`{path}`: the file that is open is no longer at its path: another file replaced it; the next request \
                 opens what is at the path"
            ),
            Cause::LeftBehind => write!(
                f,
                "`{path}`: it is the log of a database that was removed or replaced; stop all programs that have it \
                 open, then remove it together with the file that ends in `-shm`"
            ),
            Cause::Unreadable(error) => {
                write!(
                    f,
                    "`{path}`: it cannot be seen whether the file that is open is still at its path: {error}"
                )
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

    #[test]
    fn files_at_their_paths_are_the_same() {
        let (_folder, path) = files();
        assert_eq!(OpenFiles::of(&path).unwrap().check().unwrap(), 4);
    }

    #[test]
    fn each_file_that_is_removed_or_replaced_is_named() {
        for (suffix, log) in [("", LogAtPath::Ours), ("-wal", LogAtPath::None), ("-shm", LogAtPath::Unknown)]
        {
            let (folder, path) = files();
            let open = OpenFiles::of(&path).unwrap();
            let file = with_suffix(&path, suffix);
            fs::rename(&file, folder.path().join("away")).unwrap();
            let lost = open.check().unwrap_err();
            assert!(lost.to_string().contains(&format!("`{}`", file.display())), "{lost}");
            assert!(lost.cause == Cause::Removed && lost.log == log, "{lost:?}");
            fs::write(&file, "another").unwrap();
            let lost = open.check().unwrap_err();
            assert!(lost.to_string().contains("another file replaced it"), "{lost}");
            assert_eq!(lost.cause, Cause::Replaced);
            assert!(lost.log != LogAtPath::None, "{lost:?}");
        }
    }

    #[test]
    fn the_log_of_a_symbolic_link_is_beside_its_target() {
        let (folder, path) = files();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let open = OpenFiles::of(&link).unwrap();
        open.check().unwrap();
        fs::remove_file(&link).unwrap();
        assert_eq!(open.check().unwrap_err().cause, Cause::Removed);
    }
}
