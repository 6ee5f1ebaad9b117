//! The suite case by case, for those who test what it finds.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::case::{Case, Offered, Tier};
use super::cases::all;
use super::fault::Fault;
use super::harness;
use super::promise::Promise;
use super::settings::Settings;
use super::storage::SetupResult;
use super::subject::Subject;

/// What is known of a case without running it.
#[derive(Debug, Clone, Copy)]
pub struct CaseInfo(&'static Case);

impl CaseInfo {
    /// Its name, e.g. `q14_a_job_starts_at_its_very_tick`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// The tier that it runs in.
    #[must_use]
    pub const fn tier(self) -> Tier {
        self.0.tier
    }

    /// Whether it is one of those that prove this promise.
    #[must_use]
    pub fn proves(self, promise: Promise) -> bool {
        self.0.promise() == Some(promise)
    }
}

/// The cases of the suite, in the order of the promises.
pub fn cases() -> impl Iterator<Item = CaseInfo> {
    all().map(CaseInfo)
}

/// The suite on one backend, run case by case: [`main`](super::main) is for tests of a backend, this for
/// tests of the suite, or of how a backend is given to it.
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
    offered: Offered,
}

impl Suite {
    /// With the settings that the environment gives.
    ///
    /// # Errors
    /// If no storage can be opened, or a setting cannot be read.
    pub fn new(subject: impl Subject) -> SetupResult<Self> {
        let subject: Arc<dyn Subject> = Arc::new(subject);
        let settings = Settings::read()?;
        let offered = harness::offered(&subject, &Arc::new(settings.clone()))?;
        Ok(Self { subject, settings, offered })
    }

    /// Has random cases begin here, whatever the environment says.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Has a case fail after this time, whatever the environment says.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// The cases that the backend is excused from, each with what it does not declare. Which faults can be brought about
    /// is [`Subject::faults`].
    #[must_use]
    pub fn excused(&self) -> Vec<(CaseInfo, String)> {
        let excused = |case| Some((CaseInfo(case), harness::missing(case, self.offered)?));
        all().filter_map(excused).collect()
    }

    /// Those of the case's faults that the subject can bring about.
    fn faults(&self, case: &Case) -> Vec<Fault> {
        case.faults.iter().copied().filter(|fault| self.subject.faults().contains(fault)).collect()
    }

    /// The cases that apply to the backend, and have a fault that can be brought about if they need one.
    #[must_use]
    pub fn applicable(&self) -> Vec<CaseInfo> {
        let has_fault = |case: &Case| case.faults.is_empty() || !self.faults(case).is_empty();
        let applies = |case: &&Case| harness::missing(case, self.offered).is_none() && has_fault(case);
        all().filter(applies).map(CaseInfo).collect()
    }

    /// Runs one case, of whatever tier; one of a fault under each that the subject can bring about, until one fails.
    ///
    /// # Errors
    /// What the suite reports of a case that fails, or that there is no case of this name.
    pub fn run(&self, name: &str) -> Result<(), CaseFailure> {
        let Some(case) = all().find(|case| case.name == name) else {
            return Err(CaseFailure(format!("there is no case named `{name}`")));
        };
        if let Some(missing) = harness::missing(case, self.offered) {
            return Err(CaseFailure(format!("`{name}` is not run: it {missing}")));
        }
        let run = |fault| {
            let (subject, settings) = (Arc::clone(&self.subject), Arc::new(self.settings.clone()));
            harness::run(case, fault, subject, settings).map_err(CaseFailure)
        };
        match case.faults {
            [] => run(None),
            _ => match self.faults(case) {
                faults if faults.is_empty() => {
                    Err(CaseFailure(format!("`{name}` is not run: none of its faults can be brought about")))
                }
                faults => faults.into_iter().try_for_each(|fault| run(Some(fault))),
            },
        }
    }

    /// Has a backend that breaks a promise (`Q4`) found out: runs the fast and race cases of the promise until one
    /// fails, and says which one, and how.
    ///
    /// `reached` answers how often the wrong path was taken since it was asked last.
    ///
    /// # Errors
    /// If no case fails, or one fails in which the wrong path was not taken, or that did not end in time.
    pub fn find(&self, promise: &str, mut reached: impl FnMut() -> u64) -> Result<String, String> {
        let known = Promise::ALL.iter().find(|known| format!("Q{}", known.number()) == promise);
        let known = *known.ok_or_else(|| format!("there is no promise `{promise}`"))?;
        let mut cases = self.applicable();
        cases.retain(|case| case.proves(known) && Tier::USUAL.contains(&case.tier()));
        cases.sort_by_key(|case| case.tier());
        for case in &cases {
            let _before = reached();
            let Err(failure) = self.run(case.name()) else { continue };
            let (name, times) = (case.name(), reached());
            return match times {
                0 => Err(format!("{name} fails, though the wrong path was not taken: {failure}")),
                _ if failure.is_timeout() => Err(format!("{name} hangs, and does not say why: {failure}")),
                _ => Ok(format!("{name} finds it, after {times} times: {failure}")),
            };
        }
        Err(format!("none of the {} cases of {known} finds it", cases.len()))
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("capabilities", &self.offered).finish_non_exhaustive()
    }
}

/// The report of a case that failed; its first line says what was seen.
pub struct CaseFailure(String);

impl CaseFailure {
    /// Whether the case was given up because it did not end in time.
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

/// The report as it is, so that `unwrap` shows it readably.
impl fmt::Debug for CaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CaseFailure {}
