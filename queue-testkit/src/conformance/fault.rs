//! What can go wrong with a storage while it is used, in words that hold for every backend.

mod effect;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use queue_core::Backend;

use super::storage::{SetupResult, Storage};
pub(crate) use effect::{DOUBTS, ENDURED, Fails, Manner, OUTAGES, STANDSTILLS, Work};

/// How long the handles of [`FaultyStorage::open_impatient`] should wait, roughly, before they give up a lock or an
/// answer. The cases of faults wait for it again and again; none of them depends on it.
pub const PATIENCE: Duration = Duration::from_millis(700);

/// Something that can be done to a storage. A backend's author says by [`Subject::faults`] which of them apply to his,
/// and does them in [`FaultyStorage::inject`]; the cases are the same for all backends.
///
/// A fault is *lasting* (it begins with the injection and ends when it is mended), of a *moment* (it is over when the
/// injection is), or *aimed* (it hits the request, or the row, of a target).
///
/// [`Subject::faults`]: super::Subject::faults
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Lasting: somebody else holds the lock that every write needs, longer than an impatient handle waits. Writes end as busy, or
    /// as of unknown outcome where the request may still wait for the lock; reads may go on.
    Locked,
    /// Lasting: other connections take that lock again and again, each time for a moment. Nobody is to notice: a handle
    /// waits, and tries again.
    Contended,
    /// Lasting: there is no space left. A large batch cannot be stored; what needs no space may succeed.
    Full,
    /// Lasting: open connections are closed and new ones refused, as when a server is gone or a firewall closes.
    Refused,
    /// Lasting: connections stay open and new ones come up, and nothing ever answers. What was sent is lost.
    Silent,
    /// Lasting: what is sent is held, and arrives when the fault is mended, at a time when an impatient sender has given it up.
    Late,
    /// Lasting: every answer comes late, but long before anybody gives up. Nobody is to notice.
    Slow,
    /// Lasting: the server was stopped in its orderly way; it starts again when the fault is mended.
    Stopped,
    /// Lasting: the server stopped at once, as in a crash; it starts again when the fault is mended. What was
    /// acknowledged is to be there.
    Crashed,
    /// Lasting: the server takes no writes, as a replica after a failover; reads that take no lock go on.
    ReadOnly,
    /// Lasting: the storage is not set up for this program any more: a right, a table or a schema that it needs was taken away, and
    /// is given back. Trying again does not help until then, and yet no request is refused for good.
    Misconfigured,
    /// Of a moment: all connections are cut, whatever is under way. New ones come up.
    Cut,
    /// Of a moment: all connections end in the direction to the handle, while what it sends still arrives. New ones come
    /// up.
    HalfClosed,
    /// Of a moment: the server ends all sessions, and says so. New ones come up.
    Terminated,
    /// Aimed: the next request that names the target never arrives, and its connection is closed.
    RequestLost,
    /// Aimed: the next request that names the target arrives and is done; its connection is closed before the answer
    /// (to a commit, that is) comes back.
    ReplyLost,
    /// Aimed: whoever writes a row of the target job is told a few times, but less often than a backend tries, that
    /// transactions stood in each other's way (deadlock, serialisation). Nobody is to notice.
    RowConflictsBriefly,
    /// Aimed: whoever writes a row of the target job is told each time that transactions stood in each other's way.
    RowConflicts,
    /// Aimed: there is no space left for a row of the target job.
    RowFull,
    /// Aimed: the storage does not accept the target's row when it is inserted, nor the row of its outcome, for good.
    RowRefused,
}

impl Fault {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Locked,
        Self::Contended,
        Self::Full,
        Self::Refused,
        Self::Silent,
        Self::Late,
        Self::Slow,
        Self::Stopped,
        Self::Crashed,
        Self::ReadOnly,
        Self::Misconfigured,
        Self::Cut,
        Self::HalfClosed,
        Self::Terminated,
        Self::RequestLost,
        Self::ReplyLost,
        Self::RowConflictsBriefly,
        Self::RowConflicts,
        Self::RowFull,
        Self::RowRefused,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::Contended => "contended",
            Self::Full => "full",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::Late => "late",
            Self::Slow => "slow",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::ReadOnly => "read_only",
            Self::Misconfigured => "misconfigured",
            Self::Cut => "cut",
            Self::HalfClosed => "half_closed",
            Self::Terminated => "terminated",
            Self::RequestLost => "request_lost",
            Self::ReplyLost => "reply_lost",
            Self::RowConflictsBriefly => "row_conflicts_briefly",
            Self::RowConflicts => "row_conflicts",
            Self::RowFull => "row_full",
            Self::RowRefused => "row_refused",
        }
    }
}

/// As it stands in the names of trials.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A storage on which a fault can be brought about.
#[async_trait]
pub trait FaultyStorage: Storage {
    /// Opens the storage beside the handles that are open, as another process would, where the fault makes a handle
    /// wait: by one that gives up after about [`PATIENCE`], and is given what meets the fault. The handles of
    /// [`open`](Storage::open) prepare a case and look at what came of it, and are to wait as long as they do by default, or
    /// longer: whoever gives up soon fails on a busy machine, too.
    ///
    /// `None`, as by default, if the handles of `open` find out at once that something is wrong, or if the backend does
    /// not declare `multi_process`; then those of `open` are given everything.
    async fn open_impatient(&self) -> SetupResult<Option<Arc<dyn Backend>>> {
        Ok(None)
    }

    /// Brings about the fault that the storage was made for; it is there when this returns.
    ///
    /// `target` matters to faults that are aimed, and stands in the request that is meant: the 16 bytes of the id of a
    /// job, a claim or a worker, or the name of a queue or a kind. If it is the id of a job, rows of that job are meant as well.
    async fn inject(&self, target: &[u8]) -> SetupResult<Box<dyn Injected>>;
}

/// A fault that is there. Dropped without being mended, because a case failed, it should go away as well.
#[async_trait]
pub trait Injected: Send + Sync {
    /// Takes the fault away. When this returns the storage can be used again; whoever was cut off may have to connect
    /// anew.
    async fn mend(self: Box<Self>) -> SetupResult<()>;
}

/// A storage as a case has it.
#[derive(Clone)]
pub(crate) enum Place {
    Plain(Arc<dyn Storage>),
    Faulty(Arc<dyn FaultyStorage>, Fault),
}

impl Place {
    pub(crate) fn storage(&self) -> &dyn Storage {
        match self {
            Self::Plain(storage) => &**storage,
            Self::Faulty(storage, _) => &**storage,
        }
    }
}
