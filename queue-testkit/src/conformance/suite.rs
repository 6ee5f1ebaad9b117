//! Runs single cases, for tests of the suite.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::case::{Case, Features, Tier};
use super::cases::all;
use super::fault::Fault;
use super::harness;
use super::pass::Pass;
use super::promise::Promise;
use super::settings::Settings;
use super::storage::SetupResult;
use super::subject::Subject;
use super::wait::set_bound;

/// The name, tier and promise of a case.
#[derive(Debug, Clone, Copy)]
pub struct CaseInfo(&'static Case);

impl CaseInfo {
    /// Returns the name, e.g. `q14_a_job_starts_at_its_very_tick`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// Returns the tier.
    #[must_use]
    pub const fn tier(self) -> Tier {
        self.0.tier
    }

    /// Whether the case proves this promise.
    #[must_use]
    pub fn proves(self, promise: Promise) -> bool {
        self.0.promise() == Some(promise)
    }
}

/// Returns all cases of the suite, in the order of the promises.
pub fn cases() -> impl Iterator<Item = CaseInfo> {
    all().map(CaseInfo)
}

/// Runs the suite on one backend, case by case. Tests of a backend use [`main`](super::main). This
/// type is for tests of the suite, or of a [`Subject`].
///
/// ```
/// use std::sync::Arc;
/// use async_trait::async_trait;
/// use queue_core::{Backend, MemoryBackend};
/// use queue_testkit::conformance::{SetupResult, Storage, Subject, Suite};
///
/// struct Memory;
///
/// #[async_trait]
/// impl Subject for Memory {
///     async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
///         Ok(Arc::new(Jobs(MemoryBackend::new())))
///     }
/// }
///
/// struct Jobs(MemoryBackend);
///
/// #[async_trait]
/// impl Storage for Jobs {
///     async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
///         Ok(Arc::new(self.0.clone()))
///     }
/// }
///
/// let suite = Suite::new(Memory)?;
/// assert!(suite.run("q14_a_job_starts_at_its_very_tick").is_ok());
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub struct Suite {
    subject: Arc<dyn Subject>,
    settings: Settings,
    features: Features,
    tiers: Vec<Tier>,
}

impl Suite {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// If no storage can be opened or a setting is malformed.
    pub fn new(subject: impl Subject) -> SetupResult<Self> {
        let subject: Arc<dyn Subject> = Arc::new(subject);
        let settings = Settings::read()?;
        let features = harness::features(&subject, &Arc::new(settings.clone()))?;
        Ok(Self { subject, settings, features, tiers: Tier::USUAL.to_vec() })
    }

    /// Sets the seed of random cases (default: from the environment).
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Sets how long a case waits for one thing (default: from the environment). It counts for all
    /// suites of the process.
    #[must_use]
    pub fn with_wait(self, wait: Duration) -> Self {
        set_bound(wait);
        self
    }

    /// Sets the tiers in which [`find`](Self::find) looks (default: fast and race).
    #[must_use]
    pub fn with_tiers(mut self, tiers: &[Tier]) -> Self {
        self.tiers = tiers.to_vec();
        self
    }

    /// Sets the minimum number of sequences per random case (default: from the environment).
    #[must_use]
    pub fn with_sequences(mut self, sequences: u32) -> Self {
        self.settings.sequences = sequences;
        self
    }

    /// Sets the least time of each case of the tier `soak` (default: from the environment).
    #[must_use]
    pub fn with_soak(mut self, soak: Duration) -> Self {
        self.settings.soak = soak;
        self
    }

    /// Sets the time after which a case times out (default: from the environment).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Returns the cases that the backend is excused from, each with the capability that the
    /// backend does not declare. Faults are not considered; [`Subject::faults`] lists them.
    #[must_use]
    pub fn excused(&self) -> Vec<(CaseInfo, String)> {
        let excused = |case| Some((CaseInfo(case), harness::missing(case, self.features)?));
        all().filter_map(excused).collect()
    }

    /// The faults of the case that the subject can cause.
    fn faults(&self, case: &Case) -> Vec<Fault> {
        case.faults.iter().copied().filter(|fault| self.subject.faults().contains(fault)).collect()
    }

    /// Returns the cases that can run on the backend. A case of a fault is included if the subject
    /// can cause one of its faults.
    #[must_use]
    pub fn applicable(&self) -> Vec<CaseInfo> {
        let has_fault = |case: &Case| case.faults.is_empty() || !self.faults(case).is_empty();
        let applies = |case: &&Case| harness::missing(case, self.features).is_none() && has_fault(case);
        all().filter(applies).map(CaseInfo).collect()
    }

    /// Runs one case of any tier. A case of faults runs once per fault that the subject can cause,
    /// until a run fails. The reply is [`Pass::NotShown`] if any of the runs is.
    ///
    /// # Errors
    /// If the case fails, cannot run on this backend, or does not exist.
    pub fn run(&self, name: &str) -> Result<Pass, CaseFailure> {
        self.run_with(name, &self.settings)
    }

    fn run_with(&self, name: &str, settings: &Settings) -> Result<Pass, CaseFailure> {
        let Some(case) = all().find(|case| case.name == name) else {
            return Err(CaseFailure(format!("there is no case named `{name}`")));
        };
        if let Some(missing) = harness::missing(case, self.features) {
            return Err(CaseFailure(format!("`{name}` cannot run: it {missing}")));
        }
        let run = |fault| {
            let (subject, settings) = (Arc::clone(&self.subject), Arc::new(settings.clone()));
            harness::run(case, fault, subject, settings).map_err(CaseFailure)
        };
        match case.faults {
            [] => run(None),
            _ => match self.faults(case) {
                faults if faults.is_empty() => {
                    Err(CaseFailure(format!("`{name}` cannot run: the subject can cause none of its faults")))
                }
                faults => faults.into_iter().try_fold(Pass::Shown, |all, fault| {
                    let pass = run(Some(fault))?;
                    Ok(if all == Pass::Shown { pass } else { all })
                }),
            },
        }
    }

    /// Runs the cases of a promise (`Q4`) in the [tiers](Self::with_tiers) until one finds the
    /// broken backend.
    /// Returns the name of the case and its failure, in which no sequence is shrunk.
    ///
    /// `reached` must return how often the wrong code path ran since the previous call.
    ///
    /// # Errors
    /// If no case fails. Also if a case fails although the wrong code path did not run, or a case
    /// times out.
    pub fn find(&self, promise: &str, mut reached: impl FnMut() -> u64) -> Result<String, String> {
        let known = Promise::ALL.iter().find(|known| format!("Q{}", known.number()) == promise);
        let known = *known.ok_or_else(|| format!("there is no promise `{promise}`"))?;
        let mut cases = self.applicable();
        cases.retain(|case| case.proves(known) && self.tiers.contains(&case.tier()));
        cases.sort_by_key(|case| case.tier());
        let settings = Settings { shrinks: 0, ..self.settings.clone() };
        for case in &cases {
            let _before = reached();
            let Err(failure) = self.run_with(case.name(), &settings) else { continue };
            let (name, times) = (case.name(), reached());
            return match times {
                0 => Err(format!("{name} fails although the wrong code path did not run: {failure}")),
                _ if failure.is_timeout() => {
                    Err(format!("{name} timed out, so its failure does not name the fault: {failure}"))
                }
                _ => Ok(format!("{name} finds the fault; the wrong code path ran {times} times: {failure}")),
            };
        }
        Err(format!("none of the {} cases of {known} finds the fault", cases.len()))
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("capabilities", &self.features).finish_non_exhaustive()
    }
}

/// The report of a failed case. Its first line is the failure.
pub struct CaseFailure(String);

impl CaseFailure {
    /// Whether the case timed out.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.starts_with(harness::TIMED_OUT)
    }
}

impl fmt::Display for CaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Unquoted, so that `unwrap` shows a readable report.
impl fmt::Debug for CaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CaseFailure {}
