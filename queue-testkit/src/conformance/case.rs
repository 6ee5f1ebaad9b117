//! A case, and the macro that lists the cases of a file.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use queue_core::backend::Capabilities;

pub(crate) use super::check::CaseResult;
use super::fault::Fault;
use super::kit::Kit;
use super::promise::Promise;
pub(crate) use super::tier::Tier;

pub(crate) type Run = for<'a> fn(&'a Kit) -> Pin<Box<dyn Future<Output = CaseResult> + Send + 'a>>;

/// One row of the table of cases.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    /// The name of its function, which begins with the number of the promise: `q04_…`.
    pub(crate) name: &'static str,
    pub(crate) tier: Tier,
    pub(crate) needs: &'static [Need],
    /// The case runs once per fault that the subject can cause. If the list is empty, it runs
    /// without a fault.
    pub(crate) faults: &'static [Fault],
    pub(crate) run: Run,
}

impl Case {
    pub(crate) fn promise(&self) -> Option<Promise> {
        Promise::of_case(self.name)
    }

    /// The name of a run under a fault, or without one.
    pub(crate) fn trial_name(&self, fault: Option<Fault>) -> String {
        fault.map_or_else(|| self.name.to_owned(), |fault| format!("{}::{fault}", self.name))
    }
}

/// A requirement of a case beyond the core of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Durable,
    MultiProcess,
    Migrations,
    /// The backend offers `Manage`.
    Manage,
    /// The backend offers `Watch`.
    Watch,
    /// The backend offers `ScheduleStore`.
    Schedules,
    /// An insert can also claim, in the same transaction.
    InsertAndClaim,
    /// Jobs can hold unique keys.
    UniqueKeys,
    /// A settlement can insert follow-ups.
    FollowUps,
    /// Child processes can attach to the storage and can be stopped.
    Children,
    /// The storage can be backed up and restored.
    Backup,
    /// A stored job can be made unreadable.
    Damage,
    /// An application can enqueue in transactions of its own.
    Transactions,
}

/// The optional features of the backend and its subject.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Features {
    /// The capabilities that the backend declares.
    pub(crate) capabilities: Capabilities,
    /// Whether the backend offers `Manage`.
    pub(crate) manage: bool,
    /// Whether the backend offers `Watch`.
    pub(crate) watch: bool,
    /// Whether the backend offers `ScheduleStore`.
    pub(crate) schedules: bool,
    /// Whether storages have an address.
    pub(crate) address: bool,
    /// Whether storages can be backed up.
    pub(crate) backup: bool,
    /// Whether stored jobs can be made unreadable.
    pub(crate) damage: bool,
    /// Whether an application can enqueue in transactions of its own.
    pub(crate) transactions: bool,
}

impl Need {
    /// Describes the missing feature; `None` if the need is met.
    pub(crate) fn missing_in(self, features: Features) -> Option<String> {
        if self.is_met_by(features) {
            return None;
        }
        Some(match self {
            Self::Children if cfg!(unix) => {
                "needs child processes, but `Storage::address` returns none".to_owned()
            }
            Self::Children => "needs child processes that can be stopped, which requires Unix".to_owned(),
            Self::Manage => "needs `Manage`, which the backend does not offer".to_owned(),
            Self::Watch => "needs `Watch`, which the backend does not offer".to_owned(),
            Self::Schedules => "needs `ScheduleStore`, which the backend does not offer".to_owned(),
            Self::Backup => {
                "needs a storage that can be restored, but `Storage::back_up` returns none".to_owned()
            }
            Self::Damage => "needs a job that is damaged, but `Storage::damage` returns false".to_owned(),
            Self::Transactions => {
                "needs transactions of an application, but `Subject::begin` returns none".to_owned()
            }
            _ => format!("needs {self}, which the backend does not declare"),
        })
    }

    const fn is_met_by(self, features: Features) -> bool {
        let Features { capabilities, manage, watch, schedules, address, backup, damage, transactions } =
            features;
        match self {
            Self::Durable => capabilities.durable,
            Self::MultiProcess => capabilities.multi_process,
            Self::Migrations => capabilities.migrations,
            Self::Manage => manage,
            Self::Watch => watch,
            Self::Schedules => schedules,
            Self::InsertAndClaim => capabilities.insert_and_claim,
            Self::UniqueKeys => capabilities.unique_keys,
            Self::FollowUps => capabilities.follow_ups,
            Self::Children => cfg!(unix) && address,
            Self::Backup => backup,
            Self::Damage => damage,
            Self::Transactions => transactions,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Durable => "durable",
            Self::MultiProcess => "multi_process",
            Self::Migrations => "migrations",
            Self::Manage => "manage",
            Self::Watch => "watch",
            Self::Schedules => "schedules",
            Self::InsertAndClaim => "insert_and_claim",
            Self::UniqueKeys => "unique_keys",
            Self::FollowUps => "follow_ups",
            Self::Children => "children",
            Self::Backup => "backup",
            Self::Damage => "damage",
            Self::Transactions => "transactions",
        })
    }
}

/// The faults that the case lists, or none.
pub(crate) const fn first<const N: usize>(lists: [&'static [Fault]; N]) -> &'static [Fault] {
    lists[0]
}

/// Lists the cases of a file in its table `CASES`. A case that is not listed is dead code, which
/// the compiler reports.
///
/// ```text
/// cases! {
///     Fast q04_a_stale_token_is_lost,
///     Race q04_one_of_two_settles_wins [MultiProcess],
///     Fault q04_a_settle_is_done_by_doing_it_again on DOUBTS,
/// }
/// ```
macro_rules! cases {
    ($($tier:ident $name:ident $([$($need:ident),+])? $(on $faults:expr)?),+ $(,)?) => {
        pub(super) const CASES: &[$crate::conformance::case::Case] = &[$(
            $crate::conformance::case::Case {
                name: stringify!($name),
                tier: $crate::conformance::case::Tier::$tier,
                needs: &[$($($crate::conformance::case::Need::$need),+)?],
                faults: $crate::conformance::case::first([$($faults,)? &[]]),
                run: |kit| Box::pin($name(kit)),
            },
        )+];
    };
}
pub(crate) use cases;
