//! The tiers of cases.

use std::str::FromStr;

use anyhow::anyhow;

/// The means and the duration of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Tier {
    /// Requests one after another; takes milliseconds.
    Fast,
    /// Several tasks concurrently.
    Race,
    /// The storage fails while it is used.
    Fault,
    /// Processes that use the storage are killed or stopped.
    Crash,
    /// Several processes with random kills for a longer time.
    Soak,
}

impl Tier {
    /// The tiers that run by default.
    pub(crate) const USUAL: [Self; 2] = [Self::Fast, Self::Race];

    /// All tiers, the fastest first.
    pub const ALL: [Self; 5] = [Self::Fast, Self::Race, Self::Fault, Self::Crash, Self::Soak];

    /// Returns the name of the tier.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Race => "race",
            Self::Fault => "fault",
            Self::Crash => "crash",
            Self::Soak => "soak",
        }
    }
}

impl FromStr for Tier {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let tier = Self::ALL.into_iter().find(|tier| tier.as_str() == name);
        tier.ok_or_else(|| anyhow!("there is no tier `{name}`; the tiers are {}, or `all`", known()))
    }
}
