//! What the cases expect of each fault.

use queue_core::ErrorKind;

use super::Fault;

/// How a fault is brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Until it is mended.
    Lasting,
    /// At once, and then it is over.
    Moment,
    /// At one request, or one row.
    Aimed,
}

/// What an operation does, as far as a fault cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// It enters jobs, and many bytes with them.
    Enters,
    /// It writes the row of the target job's outcome.
    Ends,
    /// It writes another row of the target job.
    Moves,
    /// It writes, but nothing about jobs.
    Writes,
    /// It may find nothing to write.
    MayWrite,
    /// It changes nothing.
    Reads,
}

/// Whether an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fails {
    Certainly,
    Perhaps,
    Never,
}

/// Faults after which the storage, or the way to it, is as it was.
pub(crate) const OUTAGES: &[Fault] = &[
    Fault::Locked,
    Fault::Contended,
    Fault::Full,
    Fault::Refused,
    Fault::Silent,
    Fault::Late,
    Fault::Slow,
    Fault::Stopped,
    Fault::Crashed,
    Fault::ReadOnly,
    Fault::Cut,
    Fault::HalfClosed,
    Fault::Terminated,
];

/// Faults that leave it open whether a request was done.
pub(crate) const DOUBTS: &[Fault] = &[Fault::RequestLost, Fault::ReplyLost, Fault::Silent];

/// Faults that last, and make writes fail.
pub(crate) const STANDSTILLS: &[Fault] = &[
    Fault::Locked,
    Fault::Refused,
    Fault::Silent,
    Fault::Late,
    Fault::Stopped,
    Fault::Crashed,
    Fault::ReadOnly,
];

/// Faults that last, whatever their class, while a worker holds what it has.
pub(crate) const ENDURED: &[Fault] =
    &[Fault::Locked, Fault::Refused, Fault::Stopped, Fault::Crashed, Fault::ReadOnly, Fault::Misconfigured];

impl Fault {
    pub(crate) const fn manner(self) -> Manner {
        match self {
            Self::Locked
            | Self::Contended
            | Self::Full
            | Self::Refused
            | Self::Silent
            | Self::Late
            | Self::Slow
            | Self::Stopped
            | Self::Crashed
            | Self::ReadOnly
            | Self::Misconfigured => Manner::Lasting,
            Self::Cut | Self::HalfClosed | Self::Terminated => Manner::Moment,
            Self::RequestLost
            | Self::ReplyLost
            | Self::RowConflictsBriefly
            | Self::RowConflicts
            | Self::RowFull
            | Self::RowRefused => Manner::Aimed,
        }
    }

    /// Whether it is aimed at rows, and not at a request.
    pub(crate) const fn hits_rows(self) -> bool {
        matches!(self, Self::RowConflictsBriefly | Self::RowConflicts | Self::RowFull | Self::RowRefused)
    }

    /// Whether a backend hides it from its callers.
    pub(crate) const fn is_ridden_through(self) -> bool {
        matches!(self, Self::Contended | Self::Slow | Self::RowConflictsBriefly)
    }

    /// Whether an operation that meets it fails.
    pub(crate) fn fails(self, work: Work) -> Fails {
        match self {
            Self::Contended | Self::Slow | Self::RowConflictsBriefly => Fails::Never,
            Self::Refused | Self::Silent | Self::Late | Self::Stopped | Self::Crashed => Fails::Certainly,
            Self::Cut | Self::HalfClosed | Self::Terminated | Self::Misconfigured => Fails::Perhaps,
            Self::Locked | Self::RequestLost | Self::ReplyLost => match work {
                Work::Enters | Work::Ends | Work::Moves | Work::Writes => Fails::Certainly,
                Work::MayWrite | Work::Reads => Fails::Perhaps,
            },
            Self::ReadOnly => match work {
                Work::MayWrite | Work::Reads => Fails::Perhaps,
                _ => Fails::Certainly,
            },
            Self::Full => match work {
                Work::Enters => Fails::Certainly,
                Work::Reads => Fails::Never,
                _ => Fails::Perhaps,
            },
            Self::RowConflicts | Self::RowFull => match work {
                Work::Enters | Work::Ends | Work::Moves => Fails::Certainly,
                Work::Writes | Work::MayWrite | Work::Reads => Fails::Never,
            },
            Self::RowRefused => match work {
                Work::Enters | Work::Ends => Fails::Certainly,
                _ => Fails::Never,
            },
        }
    }

    /// Whether it is honest to fail so.
    pub(crate) fn permits(self, kind: ErrorKind, work: Work) -> bool {
        let reads = work == Work::Reads;
        match self {
            Self::Contended | Self::Slow | Self::RowConflictsBriefly => false,
            Self::Full | Self::RowFull => kind == ErrorKind::Unavailable,
            Self::RowConflicts => kind == ErrorKind::Busy,
            Self::RowRefused => kind == ErrorKind::Invalid,
            Self::Misconfigured => kind == ErrorKind::Misconfigured,
            Self::Locked => {
                kind == ErrorKind::Busy
                    || if reads { kind == ErrorKind::Unavailable } else { kind == ErrorKind::UnknownOutcome }
            }
            Self::RequestLost | Self::ReplyLost => {
                kind == if reads { ErrorKind::Unavailable } else { ErrorKind::UnknownOutcome }
            }
            Self::Silent | Self::Late => {
                matches!(kind, ErrorKind::Unavailable | ErrorKind::Busy)
                    || !reads && kind == ErrorKind::UnknownOutcome
            }
            Self::Refused
            | Self::Stopped
            | Self::Crashed
            | Self::ReadOnly
            | Self::Cut
            | Self::HalfClosed
            | Self::Terminated => {
                kind == ErrorKind::Unavailable || !reads && kind == ErrorKind::UnknownOutcome
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_of_faults_that_all_knows_once() {
        for (index, fault) in Fault::ALL.iter().enumerate() {
            assert!(!Fault::ALL[..index].contains(fault), "{fault} stands twice");
            assert!(
                Fault::ALL.iter().filter(|other| other.as_str() == fault.as_str()).count() == 1,
                "{fault}"
            );
        }
        assert!(
            [OUTAGES, DOUBTS, STANDSTILLS, ENDURED].concat().iter().all(|fault| Fault::ALL.contains(fault))
        );
        // The match makes a new fault fail to compile until it is entered in `Fault::ALL`.
        assert_eq!(Fault::ALL.iter().filter(|fault| fault.manner() == Manner::Aimed).count(), 6);
    }

    #[test]
    fn reads_are_never_of_unknown_outcome_and_what_is_ridden_through_permits_no_error() {
        let kinds = [
            ErrorKind::Busy,
            ErrorKind::Unavailable,
            ErrorKind::UnknownOutcome,
            ErrorKind::Invalid,
            ErrorKind::Misconfigured,
        ];
        for fault in Fault::ALL {
            assert!(!fault.permits(ErrorKind::UnknownOutcome, Work::Reads), "{fault}");
            let permits_any = kinds.iter().any(|kind| fault.permits(*kind, Work::Writes));
            assert_eq!(permits_any, !fault.is_ridden_through(), "{fault}");
        }
    }
}
