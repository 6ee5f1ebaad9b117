//! Reports of failed cases, timeouts and ignored trials.

use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use queue_core::backend::Capabilities;
use queue_core::{Backend, MemoryBackend};

use super::super::case::{Features, Need, Tier};
use super::super::check::{About as _, check_eq};
use super::super::pass::not_shown;
use super::super::promise::Promise;
use super::super::storage::{SetupResult, Storage};
use super::*;

struct Memory;

#[async_trait]
impl Subject for Memory {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        Ok(Arc::new(Jobs(MemoryBackend::new())))
    }
}

struct Jobs(MemoryBackend);

#[async_trait]
impl Storage for Jobs {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(self.0.clone()))
    }
}

/// Opens another storage each time.
struct Forgetful;

#[async_trait]
impl Subject for Forgetful {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        Ok(Arc::new(Self))
    }
}

#[async_trait]
impl Storage for Forgetful {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(MemoryBackend::new()))
    }
}

struct Broken;

#[async_trait]
impl Subject for Broken {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        Err("no room on the device".into())
    }
}

fn case(run: super::super::case::Run) -> &'static Case {
    Box::leak(Box::new(Case { name: "q14_of_this_test", tier: Tier::Fast, needs: &[], faults: &[], run }))
}

fn settings(timeout: Duration) -> Arc<Settings> {
    Arc::new(Settings {
        seed: 7,
        sequences: 1,
        shrinks: 0,
        tiers: vec![Tier::Fast],
        timeout,
        soak: Duration::ZERO,
        if_not_shown: IfNotShown::Report,
    })
}

fn outcome(case: &'static Case, timeout: Duration) -> Result<Pass, String> {
    run(case, None, Arc::new(Memory), settings(timeout))
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn case_without_error_passes() {
    assert_eq!(outcome(case(|_| Box::pin(async { Ok(()) })), LONG), Ok(Pass::Shown));
}

#[test]
fn case_that_did_not_reach_its_situation_passes_as_not_shown() {
    let unshown = case(|_| Box::pin(async { Err(not_shown("the two never met")).context("in a round") }));
    assert_eq!(outcome(unshown, LONG), Ok(Pass::NotShown("the two never met".to_owned())));
    let open = OpenCases::default();
    assert!(open.report(IfNotShown::Fail));
    open.add("q14_of_this_test", "the two never met");
    assert!(open.report(IfNotShown::Report));
    assert!(!open.report(IfNotShown::Fail));
}

#[test]
fn failure_report_shows_promise_seed_operations_and_rows() {
    let failing = case(|kit| {
        Box::pin(async move {
            let id = kit.insert_one(kit.spec("job")).await?;
            bail!("job {id} is odd, seed {}", kit.seed())
        })
    });
    let report = outcome(failing, LONG).unwrap_err();
    let parts = [
        "is odd, seed 7",
        "promise Q14 not-before: No job starts before its run_at.",
        "seed: 7",
        "1 insert InsertRequest",
        "state: Ready",
        "jobs 1, live 1, outcomes 0",
        "QUEUE_TEST_SEED=7 cargo test -p queue-testkit --all-features",
        "--exact q14_of_this_test",
    ];
    for part in parts {
        assert!(report.contains(part), "`{part}` is missing in:\n{report}");
    }
}

#[test]
fn failed_check_of_another_promise_is_reported_under_it() {
    let failing = case(|kit| {
        Box::pin(async move {
            let check = check_eq!(kit.seed(), 8, "the seed").about(Promise::PriorityOrder);
            check.context("operation 3")
        })
    });
    let report = outcome(failing, LONG).unwrap_err();
    assert!(report.starts_with("operation 3: Q13 priority-order is broken: the seed:\n"), "{report}");
    assert!(report.contains("\npromise Q13 priority-order: A claim"), "{report}");
}

#[test]
fn panic_of_a_case_is_reported() {
    let report = outcome(case(|_| Box::pin(async { panic!("out of cheese") })), LONG).unwrap_err();
    assert!(report.starts_with("the case panicked: out of cheese"), "{report}");
}

#[test]
fn hanging_or_blocking_case_times_out() {
    let hanging = case(|_| Box::pin(std::future::pending()));
    let blocking = case(|_| {
        Box::pin(async {
            tokio::spawn(async { std::thread::sleep(Duration::from_secs(3)) });
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        })
    });
    for case in [hanging, blocking] {
        let report = outcome(case, Duration::from_millis(50)).unwrap_err();
        assert!(report.starts_with("the case did not end within 50ms"), "{report}");
    }
}

#[test]
fn case_without_error_fails_if_history_is_wrong() {
    let forgets = case(|kit| {
        Box::pin(async move {
            kit.insert_one(kit.spec("job")).await?;
            kit.reopen().await
        })
    });
    let report = run(forgets, None, Arc::new(Forgetful), settings(LONG)).unwrap_err();
    assert!(
        report.contains("has no order in which each reply is right: at the reply to Read(None)"),
        "{report}"
    );
    assert_eq!(run(forgets, None, Arc::new(Memory), settings(LONG)), Ok(Pass::Shown));
}

#[test]
fn failed_create_is_reported() {
    let report =
        run(case(|_| Box::pin(async { Ok(()) })), None, Arc::new(Broken), settings(LONG)).unwrap_err();
    assert!(report.contains("`create` failed: no room on the device"), "{report}");
}

#[test]
fn ignored_trial_shows_its_reason() {
    let needy = Box::leak(Box::new(Case {
        name: "q01_of_this_test",
        tier: Tier::Race,
        needs: &[Need::Durable, Need::Children],
        faults: &[],
        run: |_| Box::pin(async { Ok(()) }),
    }));
    let subject: Arc<dyn Subject> = Arc::new(Memory);
    let trial_of = |features| trial(needy, None, features, &subject, &settings(LONG), &Arc::default());
    let mut features = Features::default();
    let missing = trial_of(features);
    assert_eq!(missing.kind(), "needs durable, which the backend does not declare");
    assert!(missing.has_ignored_flag());
    features.capabilities = Capabilities::default().with_durable();
    let without_address = trial_of(features);
    assert!(without_address.kind().contains("child processes"), "{}", without_address.kind());
    assert!(without_address.has_ignored_flag());
    features.address = true;
    let not_selected = trial_of(features);
    assert_eq!(not_selected.kind(), "tier race is not selected");
    assert!(not_selected.has_ignored_flag());
}

#[test]
fn case_of_an_unsupported_fault_is_ignored() {
    let broken = Box::leak(Box::new(Case {
        name: "q22_of_this_test",
        tier: Tier::Fault,
        needs: &[],
        faults: &[Fault::Locked],
        run: |_| Box::pin(async { Ok(()) }),
    }));
    let subject: Arc<dyn Subject> = Arc::new(Memory);
    let settings = Arc::new(Settings { tiers: vec![Tier::Fault], ..(*settings(LONG)).clone() });
    let ignored =
        trial(broken, Some(Fault::Locked), Features::default(), &subject, &settings, &Arc::default());
    assert_eq!(ignored.name(), "q22_of_this_test::locked");
    assert_eq!(ignored.kind(), "needs the fault `locked`, which the subject cannot cause");
    assert!(ignored.has_ignored_flag());
    let report = run(broken, Some(Fault::Locked), subject, settings).unwrap_err();
    assert!(report.contains("the subject cannot cause the fault `locked`"), "{report}");
    assert!(report.contains("--exact q22_of_this_test::locked"), "{report}");
}
