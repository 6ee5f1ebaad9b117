//! A case, and the table entry that every case file makes.

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
    /// The name of its function, which begins with the promise's number: `q04_…`.
    pub(crate) name: &'static str,
    pub(crate) tier: Tier,
    pub(crate) needs: &'static [Need],
    /// It runs once for each of these that the subject can bring about; if there are none, without any.
    pub(crate) faults: &'static [Fault],
    pub(crate) run: Run,
}

impl Case {
    pub(crate) fn promise(&self) -> Option<Promise> {
        Promise::of_case(self.name)
    }

    /// What it is called when it runs under a fault, or without any.
    pub(crate) fn trial_name(&self, fault: Option<Fault>) -> String {
        fault.map_or_else(|| self.name.to_owned(), |fault| format!("{}::{fault}", self.name))
    }
}

/// What a case needs beyond the core of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Durable,
    MultiProcess,
    Migrations,
    /// Commands of operators are taken.
    Manage,
    /// An insert can make a claim in its transaction.
    InsertAndClaim,
    /// Children can attach to the storage, and be stopped.
    Children,
    /// A copy of the storage can be taken, and put back.
    Backup,
}

/// What a run of the suite has to work with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Offered {
    /// What the backend declares.
    pub(crate) capabilities: Capabilities,
    /// Whether it takes commands of operators.
    pub(crate) manage: bool,
    /// Whether its storages have an address.
    pub(crate) address: bool,
    /// Whether they can be backed up.
    pub(crate) backup: bool,
}

impl Need {
    /// What is missing, in words, if the need is not met.
    pub(crate) fn missing_in(self, offered: Offered) -> Option<String> {
        if self.is_met_by(offered) {
            return None;
        }
        Some(match self {
            Self::Children if cfg!(unix) => {
                "needs child processes, for which the storage gives no `address`".to_owned()
            }
            Self::Children => "needs child processes that can be stopped, as on Unix".to_owned(),
            Self::Manage => "needs `Manage`, which the backend does not offer".to_owned(),
            Self::Backup => {
                "needs a storage that can be restored, for which there is no `back_up`".to_owned()
            }
            _ => format!("needs {self}, which the backend does not declare"),
        })
    }

    const fn is_met_by(self, Offered { capabilities, manage, address, backup }: Offered) -> bool {
        match self {
            Self::Durable => capabilities.durable,
            Self::MultiProcess => capabilities.multi_process,
            Self::Migrations => capabilities.migrations,
            Self::Manage => manage,
            Self::InsertAndClaim => capabilities.insert_and_claim,
            Self::Children => cfg!(unix) && address,
            Self::Backup => backup,
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
            Self::InsertAndClaim => "insert_and_claim",
            Self::Children => "children",
            Self::Backup => "backup",
        })
    }
}

/// The faults that a case names, or none.
pub(crate) const fn first<const N: usize>(lists: [&'static [Fault]; N]) -> &'static [Fault] {
    lists[0]
}

/// Enters the cases of a file into its table `CASES`. A case that is not entered is dead code, which
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
