//! The errors that cases expect under each fault.

use queue_core::ErrorKind;

use super::Fault;

/// How long a fault lasts, or what it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Lasts until it is mended.
    Lasting,
    /// Is over when the injection returns.
    Moment,
    /// Hits one request or one row.
    Aimed,
}

/// The writes of an operation, on which the effect of a fault depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Inserts jobs with many bytes.
    Inserts,
    /// Writes the row of the target job's outcome.
    WritesOutcome,
    /// Writes another row of the target job.
    WritesJob,
    /// Writes rows, but not of jobs.
    WritesOther,
    /// May find nothing to write.
    MayWrite,
    /// Changes nothing.
    Reads,
}

/// Whether an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fails {
    Certainly,
    Perhaps,
    Never,
}

/// Faults after which the storage and the connection to it are as before.
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

/// Faults after which it is unknown whether a request was executed.
pub(crate) const DOUBTS: &[Fault] = &[Fault::RequestLost, Fault::ReplyLost, Fault::Silent];

/// Lasting faults that make writes fail.
pub(crate) const STANDSTILLS: &[Fault] = &[
    Fault::Locked,
    Fault::Refused,
    Fault::Silent,
    Fault::Late,
    Fault::Stopped,
    Fault::Crashed,
    Fault::ReadOnly,
];

/// Lasting faults of each error class, during which a worker must keep its leases.
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

    /// Whether the fault is aimed at rows and not at a request.
    pub(crate) const fn hits_rows(self) -> bool {
        matches!(self, Self::RowConflictsBriefly | Self::RowConflicts | Self::RowFull | Self::RowRefused)
    }

    /// Whether a backend must hide the fault from its callers.
    pub(crate) const fn is_hidden_from_callers(self) -> bool {
        matches!(self, Self::Contended | Self::Slow | Self::RowConflictsBriefly)
    }

    /// Whether an operation fails under the fault.
    pub(crate) fn fails(self, work: Work) -> Fails {
        match self {
            Self::Contended | Self::Slow | Self::RowConflictsBriefly => Fails::Never,
            Self::Refused | Self::Silent | Self::Late | Self::Stopped | Self::Crashed => Fails::Certainly,
            Self::Cut | Self::HalfClosed | Self::Terminated | Self::Misconfigured => Fails::Perhaps,
            Self::Locked | Self::RequestLost | Self::ReplyLost => match work {
                Work::Inserts | Work::WritesOutcome | Work::WritesJob | Work::WritesOther => Fails::Certainly,
                Work::MayWrite | Work::Reads => Fails::Perhaps,
            },
            Self::ReadOnly => match work {
                Work::MayWrite | Work::Reads => Fails::Perhaps,
                _ => Fails::Certainly,
            },
            Self::Full => match work {
                Work::Inserts => Fails::Certainly,
                Work::Reads => Fails::Never,
                _ => Fails::Perhaps,
            },
            Self::RowConflicts | Self::RowFull => match work {
                Work::Inserts | Work::WritesOutcome | Work::WritesJob => Fails::Certainly,
                Work::WritesOther | Work::MayWrite | Work::Reads => Fails::Never,
            },
            Self::RowRefused => match work {
                Work::Inserts | Work::WritesOutcome => Fails::Certainly,
                _ => Fails::Never,
            },
        }
    }

    /// Whether an operation may fail with this kind of error under the fault.
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
    fn lists_contain_only_faults_of_all_without_duplicates() {
        for (index, fault) in Fault::ALL.iter().enumerate() {
            assert!(!Fault::ALL[..index].contains(fault), "{fault} is listed twice");
            assert!(
                Fault::ALL.iter().filter(|other| other.as_str() == fault.as_str()).count() == 1,
                "{fault}"
            );
        }
        assert!(
            [OUTAGES, DOUBTS, STANDSTILLS, ENDURED].concat().iter().all(|fault| Fault::ALL.contains(fault))
        );
        // A new fault must be added to `Fault::ALL`; this count notices a missing aimed one.
        assert_eq!(Fault::ALL.iter().filter(|fault| fault.manner() == Manner::Aimed).count(), 6);
    }

    #[test]
    fn permitted_errors_fit_reads_and_hidden_faults() {
        let kinds = [
            ErrorKind::Busy,
            ErrorKind::Unavailable,
            ErrorKind::UnknownOutcome,
            ErrorKind::Invalid,
            ErrorKind::Misconfigured,
        ];
        for fault in Fault::ALL {
            assert!(!fault.permits(ErrorKind::UnknownOutcome, Work::Reads), "{fault}");
            let permits_any = kinds.iter().any(|kind| fault.permits(*kind, Work::WritesOther));
            assert_eq!(permits_any, !fault.is_hidden_from_callers(), "{fault}");
        }
    }
}
