//! The faults of a storage, defined alike for every backend.

mod effect;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use queue_core::Backend;

use super::storage::{SetupResult, Storage};
pub(crate) use effect::{DOUBTS, ENDURED, Fails, Manner, OUTAGES, STANDSTILLS, Work};

/// Approximate time after which a handle of [`FaultyStorage::open_impatient`] should stop waiting
/// for a lock or a reply. No result of a case depends on it; a longer time makes the cases slower.
pub const PATIENCE: Duration = Duration::from_millis(700);

/// A fault of a storage. [`Subject::faults`] lists the faults that apply to a backend, and
/// [`FaultyStorage::inject`] causes them. The cases are the same for all backends.
///
/// A *lasting* fault begins with the injection and ends when it is mended. A *momentary* fault is
/// over when the injection is. An *aimed* fault hits only the request or the row of a target.
///
/// [`Subject::faults`]: super::Subject::faults
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Lasting: another connection holds the lock that every write needs, longer than an impatient
    /// handle waits. Writes must fail as busy, or as of unknown outcome if the request may still
    /// wait for the lock. Reads may succeed.
    Locked,
    /// Lasting: other connections take that lock repeatedly, each time for a moment. Callers must
    /// not notice it: the handle waits and retries.
    Contended,
    /// Lasting: no space is left. A large batch must fail; a request that needs no space may
    /// succeed.
    Full,
    /// Lasting: open connections are closed and new ones are refused, as when the server is gone or
    /// a firewall rejects it.
    Refused,
    /// Lasting: connections stay open and new ones are accepted, but no reply ever arrives.
    /// Requests are lost.
    Silent,
    /// Lasting: requests are held and arrive when the fault is mended. An impatient sender has
    /// timed out by then.
    Late,
    /// Lasting: every reply is late, but arrives long before a timeout. Callers must not notice it.
    Slow,
    /// Lasting: the server was shut down in an orderly way. It starts again when the fault is
    /// mended.
    Stopped,
    /// Lasting: the server stopped at once, as in a crash. It starts again when the fault is
    /// mended. Acknowledged writes must still be there.
    Crashed,
    /// Lasting: the server refuses writes, as a replica does after a failover. Reads that take no
    /// lock succeed.
    ReadOnly,
    /// Lasting: a permission, a table or a schema that the backend needs is removed, and restored
    /// when the fault is mended. Retries cannot succeed until then, yet a request is never refused
    /// for good.
    Misconfigured,
    /// Momentary: all connections are cut, even during a request. New connections are accepted.
    Cut,
    /// Momentary: all connections end in the direction to the handle, while its requests still
    /// arrive. New connections are accepted.
    HalfClosed,
    /// Momentary: the server ends all sessions and notifies their clients. New connections are
    /// accepted.
    Terminated,
    /// Aimed: the next request that names the target never arrives, and its connection is closed.
    RequestLost,
    /// Aimed: the next request that names the target is executed. Its connection is closed before
    /// the reply (to a commit, if there is one) arrives.
    ReplyLost,
    /// Aimed: writes to a row of the target job fail with a conflict of transactions (deadlock or
    /// serialization failure). They fail a few times, but less often than a backend retries.
    /// Callers must not notice it.
    RowConflictsBriefly,
    /// Aimed: each write to a row of the target job fails with a conflict of transactions.
    RowConflicts,
    /// Aimed: no space is left for a row of the target job.
    RowFull,
    /// Aimed: the storage always refuses to insert the row of the target job, and the row of its
    /// outcome.
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

/// As in the names of trials.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A storage on which a fault can be caused.
#[async_trait]
pub trait FaultyStorage: Storage {
    /// Opens a handle that stops waiting after about [`PATIENCE`], beside the open handles, as
    /// another process would. Needed if the fault makes a handle wait. Cases send the requests that
    /// meet the fault on this handle.
    ///
    /// Handles of [`open`](Storage::open) prepare a case and read its outcome. They should wait as
    /// long as by default, or longer, because a handle with a short timeout also fails on a busy
    /// machine.
    ///
    /// Return `None` (default) if handles of `open` notice the fault at once, or if the backend
    /// does not declare `multi_process`. The case then sends all requests on handles of `open`.
    async fn open_impatient(&self) -> SetupResult<Option<Arc<dyn Backend>>> {
        Ok(None)
    }

    /// Causes the fault that the storage was created for. The fault must be in effect when this
    /// returns.
    ///
    /// `target` is for aimed faults. The request to hit contains it: the 16 bytes of the id of a
    /// job, a claim or a worker, or the name of a queue or a kind. If it is the id of a job, the
    /// rows of that job are hit as well.
    async fn inject(&self, target: &[u8]) -> SetupResult<Box<dyn Injected>>;
}

/// A fault that is in effect. Dropping it should remove the fault, because a failed case does not
/// mend it.
#[async_trait]
pub trait Injected: Send + Sync {
    /// Removes the fault. The storage must be usable when this returns, though handles may have to
    /// reconnect.
    async fn mend(self: Box<Self>) -> SetupResult<()>;
}

/// The storage of a case.
#[derive(Clone)]
pub(crate) enum CaseStorage {
    Plain(Arc<dyn Storage>),
    Faulty(Arc<dyn FaultyStorage>, Fault),
}

impl CaseStorage {
    pub(crate) fn as_storage(&self) -> &dyn Storage {
        match self {
            Self::Plain(storage) => &**storage,
            Self::Faulty(storage, _) => &**storage,
        }
    }
}
