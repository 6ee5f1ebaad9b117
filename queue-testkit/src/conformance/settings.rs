//! Settings from the environment.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use queue_core::ClaimId;

use super::pass::IfNotShown;
use super::tier::Tier;

/// The settings of one run of the suite, read once.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Seed of random cases.
    pub(crate) seed: u64,
    /// Minimum number of sequences per random case.
    pub(crate) sequences: u32,
    /// Maximum number of attempts to shrink a failing sequence.
    pub(crate) shrinks: u32,
    /// The tiers that run.
    pub(crate) tiers: Vec<Tier>,
    /// Time after which a case times out.
    pub(crate) timeout: Duration,
    /// Minimum duration of a soak case.
    pub(crate) soak: Duration,
    /// The result of a run with cases that have not shown what they are about.
    pub(crate) if_not_shown: IfNotShown,
}

/// The variable of [`wait`].
const WAIT: &str = "QUEUE_TEST_WAIT";

impl Settings {
    /// Reads the environment. An error names the malformed variable.
    pub(crate) fn read() -> anyhow::Result<Self> {
        read::<u64>(WAIT)?;
        Ok(Self {
            seed: read("QUEUE_TEST_SEED")?.map_or_else(random_seed, Ok)?,
            sequences: read("QUEUE_TEST_SEQUENCES")?.unwrap_or(96),
            shrinks: read("QUEUE_TEST_SHRINKS")?.unwrap_or(400),
            tiers: read("QUEUE_TEST_TIERS")?.unwrap_or(Tiers(Tier::USUAL.to_vec())).0,
            timeout: Duration::from_secs(read("QUEUE_TEST_TIMEOUT")?.unwrap_or(600)),
            soak: Duration::from_secs(read("QUEUE_TEST_SOAK")?.unwrap_or(20)),
            if_not_shown: read("QUEUE_TEST_NOT_SHOWN")?.unwrap_or(IfNotShown::Report),
        })
    }
}

/// Names of tiers, separated by commas.
struct Tiers(Vec<Tier>);

impl FromStr for Tiers {
    type Err = anyhow::Error;

    fn from_str(names: &str) -> anyhow::Result<Self> {
        if names.trim() == "all" {
            return Ok(Self(Tier::ALL.to_vec()));
        }
        names.split(',').map(|name| name.trim().parse()).collect::<anyhow::Result<_>>().map(Self)
    }
}

fn read<T: FromStr<Err: Display>>(variable: &str) -> anyhow::Result<Option<T>> {
    let Some(text) = std::env::var_os(variable) else { return Ok(None) };
    let text = text.to_string_lossy();
    match text.parse() {
        Ok(value) => Ok(Some(value)),
        Err(error) => anyhow::bail!("{variable} is `{text}`: {error}"),
    }
}

/// How long a case waits for one thing. A malformed value is reported by [`Settings::read`].
pub(crate) fn wait() -> Duration {
    static SECONDS: LazyLock<u64> = LazyLock::new(|| read(WAIT).ok().flatten().unwrap_or(30));
    Duration::from_secs(*SECONDS)
}

fn random_seed() -> anyhow::Result<u64> {
    let [a, b, c, d, e, f, g, h, ..] = ClaimId::generate()?.to_bytes();
    Ok(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}
