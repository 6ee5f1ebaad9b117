//! Runs each case as a separate trial.

#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{anyhow, bail, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use queue_core::JobId;
use queue_core::backend::Stored;

use super::audit::check_rows;
use super::case::{Case, CaseResult, Features, Need, Tier};
use super::cases;
use super::check::broken_promise;
use super::crash::actor;
use super::crash::kills::Kills;
use super::fault::Fault;
use super::history::Rows;
use super::history::log::Log;
use super::journal::Journal;
use super::kit::Kit;
use super::pass::{IfNotShown, OpenCases, Pass};
use super::report::Failure;
use super::runtime::runtime;
use super::settings::Settings;
use super::subject::Subject;
use crate::child::{Parent, role};

/// The first words of the report of a case that timed out.
pub(super) const TIMED_OUT: &str = "the case did not end within";

/// Runs the suite on a backend, with the arguments of the process and the settings of the
/// environment.
///
/// In a child process that the suite started, this attaches to the parent's storage instead, and
/// exits the process when the child is done.
pub fn main(subject: impl Subject) -> ExitCode {
    if role().is_some_and(|role| role == actor::ROLE)
        && let Some(parent) = Parent::find()
    {
        return actor::act(Arc::new(subject), parent);
    }
    let arguments = Arguments::from_args();
    let subject: Arc<dyn Subject> = Arc::new(subject);
    match Settings::read().and_then(|settings| trials(&subject, settings)) {
        Ok(Trials { trials, features, open, if_not_shown }) => {
            let is_whole = is_whole_run(&arguments);
            let kills_some = trials.iter().any(|trial| trial.kind() == Tier::Crash.as_str());
            let conclusion = libtest_mimic::run(&arguments, trials);
            if is_whole && !kills_some {
                report_untested_durability(features);
            }
            report_kills(features, is_whole && kills_some, &open);
            let is_good = open.report(if_not_shown);
            if conclusion.has_failed() || is_good { conclusion.exit_code() } else { ExitCode::FAILURE }
        }
        // Reported as a failed trial, so that tools that read the output show it.
        Err(error) => {
            let message = format!("{error:#}");
            let trial = Trial::test("open_the_storage", move || Err(Failed::from(message)));
            libtest_mimic::run(&Arguments::default(), vec![trial]).exit_code()
        }
    }
}

/// Whether the arguments choose every case of the selected tiers.
fn is_whole_run(arguments: &Arguments) -> bool {
    let chosen = arguments.filter.is_none() && arguments.skip.is_empty();
    chosen && !arguments.list && !arguments.ignored && !arguments.include_ignored
}

/// Says that no process was killed, if the backend declares that its jobs outlive the process. The
/// other tiers close and open the storage in an orderly way, which proves little.
#[expect(clippy::print_stdout, reason = "the operator of the suite reads it")]
fn report_untested_durability(features: Features) {
    if features.capabilities.durable {
        let why = Need::Children.missing_in(features);
        let why = why.unwrap_or_else(|| "the tier `crash` was not selected".to_owned());
        println!("conformance: durability was declared and not tested: {why}\n");
    }
}

/// Prints the number of killed processes, if any. They show little if the whole tier has run and
/// killed too few.
#[expect(clippy::print_stdout, reason = "the operator of the suite reads it")]
fn report_kills(features: Features, is_whole: bool, open: &OpenCases) {
    let kills = Kills::of_run();
    if kills != Kills::default() {
        println!("conformance: {kills}\n");
    }
    if let Err(error) = kills.are_enough(features.capabilities)
        && is_whole
    {
        open.add("the tier `crash`", &error.to_string());
    }
}

/// The cases of a run, and where they add themselves if they have not shown what they are about.
struct Trials {
    trials: Vec<Trial>,
    features: Features,
    open: Arc<OpenCases>,
    if_not_shown: IfNotShown,
}

fn trials(subject: &Arc<dyn Subject>, settings: Settings) -> anyhow::Result<Trials> {
    let (if_not_shown, open) = (settings.if_not_shown, Arc::new(OpenCases::default()));
    let settings = Arc::new(settings);
    let features = features(subject, &settings)?;
    let trials = |case: &'static Case| {
        let trial = |fault| trial(case, fault, features, subject, &settings, &open);
        match case.faults {
            [] => vec![trial(None)],
            faults => faults.iter().map(|fault| trial(Some(*fault))).collect(),
        }
    };
    let trials = cases::all().flat_map(trials).collect();
    Ok(Trials { trials, features, open, if_not_shown })
}

/// Returns the features of the backend and its subject. `inspect` and `audit` are mandatory,
/// because every case reads jobs and raw rows.
pub(super) fn features(subject: &Arc<dyn Subject>, settings: &Arc<Settings>) -> anyhow::Result<Features> {
    runtime()?.block_on(async {
        let kit = Kit::new(Arc::clone(subject), None, Arc::clone(settings), Arc::default()).await?;
        let backend = kit.backend()?;
        ensure!(backend.extensions().inspect.is_some(), "the suite requires a backend that offers `inspect`");
        ensure!(backend.extensions().audit.is_some(), "the suite requires a backend that offers `audit`");
        Ok(Features {
            capabilities: backend.capabilities(),
            manage: backend.extensions().manage.is_some(),
            schedules: backend.extensions().schedules.is_some(),
            watch: backend.extensions().watch.is_some(),
            address: kit.address().is_some(),
            backup: kit.can_back_up().await?,
            damage: kit.damage(JobId::from_bytes([0xdd; 16])).await?,
            transactions: kit.can_begin().await?,
        })
    })
}

/// Describes the first feature that the case needs and does not have.
pub(super) fn missing(case: &Case, features: Features) -> Option<String> {
    case.needs.iter().find_map(|need| need.missing_in(features))
}

fn trial(
    case: &'static Case,
    fault: Option<Fault>,
    features: Features,
    subject: &Arc<dyn Subject>,
    settings: &Arc<Settings>,
    open: &Arc<OpenCases>,
) -> Trial {
    let skipped = match missing(case, features) {
        Some(missing) => Some(missing),
        None if !settings.tiers.contains(&case.tier) => {
            Some(format!("tier {} is not selected", case.tier.as_str()))
        }
        None => {
            let missing = fault.filter(|fault| !subject.faults().contains(fault));
            missing.map(|fault| format!("needs the fault `{fault}`, which the subject cannot cause"))
        }
    };
    let kind = skipped.clone().unwrap_or_else(|| case.tier.as_str().to_owned());
    let is_skipped = skipped.is_some();
    let (subject, settings, open) = (Arc::clone(subject), Arc::clone(settings), Arc::clone(open));
    let run = move || match skipped {
        Some(reason) => Err(Failed::from(format!("cannot run: {reason}"))),
        None => {
            if let Pass::NotShown(why) = run(case, fault, subject, settings)? {
                open.add(&case.trial_name(fault), &why);
            }
            Ok(())
        }
    };
    Trial::test(case.trial_name(fault), run).with_kind(kind).with_ignored_flag(is_skipped)
}

/// Runs one case on its own runtime, so that a case that hangs or blocks does not delay others.
pub(super) fn run(
    case: &'static Case,
    fault: Option<Fault>,
    subject: Arc<dyn Subject>,
    settings: Arc<Settings>,
) -> Result<Pass, String> {
    let journal = Arc::new(Journal::default());
    let failure = |what: String| {
        let promise = case.promise();
        Failure { case, fault, promise, what, seed: None, journal: &journal, stored: None }.report()
    };
    let runtime = runtime().map_err(|error| format!("{error:#}"))?;
    let (sender, receiver) = mpsc::channel();
    // Extended, because the operator may set a longer soak than the timeout.
    let timeout = settings.timeout + if case.tier == Tier::Soak { settings.soak } else { Duration::ZERO };
    let execution = execute(case, fault, subject, settings, Arc::clone(&journal));
    runtime.spawn(async move { sender.send(execution.await) });
    let answer = match receiver.recv_timeout(timeout) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => Err(failure(format!("{TIMED_OUT} {timeout:?}"))),
        Err(RecvTimeoutError::Disconnected) => Err(failure("the case was stopped by a panic".to_owned())),
    };
    runtime.shutdown_background();
    answer
}

async fn execute(
    case: &'static Case,
    fault: Option<Fault>,
    subject: Arc<dyn Subject>,
    settings: Arc<Settings>,
    journal: Arc<Journal>,
) -> Result<Pass, String> {
    let failure = |error: &anyhow::Error, seed, stored: Option<&Stored>| {
        let (promise, what) = (broken_promise(error).or(case.promise()), format!("{error:#}"));
        Failure { case, fault, promise, what, seed, journal: &journal, stored }.report()
    };
    let kit = match Kit::new(subject, fault, settings, Arc::clone(&journal)).await {
        Ok(kit) => Arc::new(kit),
        Err(error) => return Err(failure(&error, None, None)),
    };
    let outcome = guarded(case, &kit).await;
    let outcome = journal.unanswered().map_or(outcome, |what| Err(anyhow!(what)));
    let asked = kit.history().moment();
    let stored = kit.stored().await;
    let answered = kit.history().moment();
    let verdict = Pass::of(outcome).and_then(|pass| {
        let stored = stored.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        check_rows(stored, &kit.history().with_log(Log::retries))?;
        kit.history().check(&Rows { asked, answered, stored })?;
        Ok(pass)
    });
    verdict.map_err(|error| failure(&error, kit.seed_if_used(), stored.as_ref().ok()))
}

/// Runs the body of the case and turns its panic into an error.
async fn guarded(case: &'static Case, kit: &Arc<Kit>) -> CaseResult {
    let kit = Arc::clone(kit);
    match tokio::spawn(async move { (case.run)(&kit).await }).await {
        Ok(result) => result,
        Err(failure) => match failure.try_into_panic() {
            Ok(panic) => bail!("the case panicked: {}", panic_message(&*panic)),
            Err(failure) => bail!("the case was aborted: {failure}"),
        },
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}
