//! Mutants that only cases of the tier `fault` find: backends that handle an error of their storage
//! wrongly.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, ClaimedJob, Extensions, InsertReply, InsertRequest, LeasesRequest,
    SettleRequest, Settled, Settlement, Verdict, Wrapper,
};
use queue_core::{Backend, Error, ErrorKind, Insertion, JobId, Result, Submitted};
use queue_testkit::conformance::{
    Fault, FaultyStorage, Injected, SetupResult, Storage, Subject, Suite, Tier,
};

use crate::backend::Mutant;
use crate::caught::{CASE_TIMEOUT, SEED, WAIT};
use crate::faulty::{FAULTS, Faulty};

macro_rules! mutants {
    ($($promise:ident $name:ident => $flaw:expr),+ $(,)?) => {$(
        #[test]
        fn $name() {
            is_caught(stringify!($promise), || Arc::new($flaw));
        }
    )+};
}

mutants! {
    Q1 acknowledges_a_lost_insert => AcknowledgesLost,
    Q2 repeats_a_refused_insert_later => RepeatsRefused,
    Q3 finds_no_leases_of_a_lost_claim => FindsNoLeases,
    Q4 says_that_a_lost_settle_is_done => SaysDone,
    Q5 stores_what_it_can_of_a_refused_batch => StoresTheRest,
    Q9 says_that_a_lost_cancel_was_made => SaysCancelled,
    Q10 repeats_a_lost_settle_without_its_result => DropsResults::default(),
    Q16 repeats_a_lost_insert_with_new_ids => RepeatsWithNewIds,
    Q19 fails_all_settlements_for_a_refused_one => FailsAll,
    Q22 calls_an_unknown_outcome_unavailable => CallsItUnavailable,
}

type Make = fn() -> Arc<dyn Flaw>;

fn is_caught(promise: &str, make: Make) {
    let reached = Arc::new(AtomicU64::new(0));
    let suite = Suite::new(Faults { make, reached: Arc::clone(&reached) }).unwrap();
    let suite = suite.with_seed(SEED).with_timeout(CASE_TIMEOUT).with_wait(WAIT).with_tiers(&[Tier::Fault]);
    println!("{}", suite.find(promise, || reached.swap(0, Ordering::SeqCst)).unwrap());
}

/// The mutants as subjects. Their storages without faults are sound.
struct Faults {
    make: Make,
    reached: Arc<AtomicU64>,
}

#[async_trait]
impl Subject for Faults {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        let reached = Arc::default();
        Mutant { make: || Arc::new(Sound), reached }.create().await
    }

    fn faults(&self) -> &'static [Fault] {
        FAULTS
    }

    async fn create_faulty(&self, fault: Fault) -> SetupResult<Arc<dyn FaultyStorage>> {
        let reached = Arc::clone(&self.reached);
        Ok(Arc::new(Flawed { storage: Faulty::new(fault), flaw: (self.make)(), reached }))
    }
}

struct Sound;

impl crate::mutation::Mutation for Sound {}

/// The requests that a flaw replaces.
#[async_trait]
trait Flaw: Send + Sync + 'static {
    async fn insert(&self, flawed: &Flawed, request: InsertRequest) -> Result<InsertReply> {
        flawed.storage.insert(request).await
    }

    async fn leases(&self, flawed: &Flawed, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        flawed.storage.leases(request).await
    }

    async fn settle(&self, flawed: &Flawed, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        flawed.storage.settle(request).await
    }

    async fn cancel(&self, flawed: &Flawed, request: CancelRequest) -> Result<Vec<CancelReply>> {
        flawed.storage.cancel(request).await
    }
}

#[derive(Clone)]
struct Flawed {
    storage: Faulty,
    flaw: Arc<dyn Flaw>,
    reached: Arc<AtomicU64>,
}

impl Flawed {
    fn reached(&self) {
        self.reached.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Storage for Flawed {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl FaultyStorage for Flawed {
    async fn inject(&self, target: &[u8]) -> SetupResult<Box<dyn Injected>> {
        self.storage.inject(target).await
    }
}

impl fmt::Debug for Flawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.storage.fmt(f)
    }
}

#[async_trait]
impl Wrapper for Flawed {
    fn inner(&self) -> &dyn Backend {
        &self.storage
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        self.flaw.insert(self, request).await
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.flaw.leases(self, request).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.flaw.settle(self, request).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.flaw.cancel(self, request).await
    }

    fn extensions(&self) -> Extensions<'_> {
        self.storage.extensions()
    }
}

fn is_lost<T>(reply: &Result<T>) -> bool {
    reply.as_ref().is_err_and(|error| error.kind() == ErrorKind::UnknownOutcome)
}

/// The reply to an insert whose jobs are all new.
fn all_new(request: &InsertRequest) -> InsertReply {
    let new = |batch: &Vec<queue_core::JobSpec>| {
        Ok(batch.iter().map(|job| Submitted::new(job.id, Insertion::New)).collect())
    };
    InsertReply::new(request.batches.iter().map(new).collect())
}

struct AcknowledgesLost;

#[async_trait]
impl Flaw for AcknowledgesLost {
    async fn insert(&self, flawed: &Flawed, request: InsertRequest) -> Result<InsertReply> {
        let reply = flawed.storage.insert(request.clone()).await;
        if is_lost(&reply) || reply.as_ref().is_err_and(Error::is_retryable) {
            flawed.reached();
            return Ok(all_new(&request));
        }
        reply
    }
}

/// Returns the error, and tries again behind the back of its caller.
struct RepeatsRefused;

#[async_trait]
impl Flaw for RepeatsRefused {
    async fn insert(&self, flawed: &Flawed, request: InsertRequest) -> Result<InsertReply> {
        let reply = flawed.storage.insert(request.clone()).await;
        if reply.as_ref().is_err_and(|error| error.is_retryable() && !is_lost(&reply)) {
            flawed.reached();
            let storage = flawed.storage.clone();
            tokio::spawn(async move {
                while storage.insert(request.clone()).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        reply
    }
}

struct FindsNoLeases;

#[async_trait]
impl Flaw for FindsNoLeases {
    async fn leases(&self, flawed: &Flawed, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        let leases = flawed.storage.leases(request).await?;
        if !leases.is_empty() {
            flawed.reached();
        }
        Ok(Vec::new())
    }
}

struct SaysDone;

#[async_trait]
impl Flaw for SaysDone {
    async fn settle(&self, flawed: &Flawed, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let many = request.settlements.len();
        let reply = flawed.storage.settle(request).await;
        if is_lost(&reply) {
            flawed.reached();
            return Ok((0..many).map(|_| Ok(Settled::Done)).collect());
        }
        reply
    }
}

struct StoresTheRest;

#[async_trait]
impl Flaw for StoresTheRest {
    async fn insert(&self, flawed: &Flawed, request: InsertRequest) -> Result<InsertReply> {
        let reply = flawed.storage.insert(request.clone()).await?;
        for (batch, result) in request.batches.into_iter().zip(&reply.batches) {
            if result.is_err() && batch.len() > 1 {
                flawed.reached();
                let mut apart = InsertRequest::new(batch.into_iter().map(|job| vec![job]).collect());
                apart.now = request.now;
                flawed.storage.insert(apart).await?;
            }
        }
        Ok(reply)
    }
}

struct SaysCancelled;

#[async_trait]
impl Flaw for SaysCancelled {
    async fn cancel(&self, flawed: &Flawed, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let many = request.jobs.len();
        let reply = flawed.storage.cancel(request).await;
        if is_lost(&reply) {
            flawed.reached();
            return Ok(vec![CancelReply::Cancelled; many]);
        }
        reply
    }
}

/// Has dropped the results when a settle that was lost is sent again.
#[derive(Default)]
struct DropsResults(Mutex<BTreeSet<JobId>>);

#[async_trait]
impl Flaw for DropsResults {
    async fn settle(&self, flawed: &Flawed, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for Settlement { token, verdict, .. } in &mut request.settlements {
            let was_lost = self.0.lock().unwrap().contains(&token.job);
            if let (true, Verdict::Complete(completion)) = (was_lost, verdict) {
                flawed.reached();
                completion.result = None;
            }
        }
        let jobs: Vec<JobId> = request.settlements.iter().map(|settlement| settlement.token.job).collect();
        let reply = flawed.storage.settle(request).await;
        if is_lost(&reply) {
            self.0.lock().unwrap().extend(jobs);
        }
        reply
    }
}

struct RepeatsWithNewIds;

#[async_trait]
impl Flaw for RepeatsWithNewIds {
    async fn insert(&self, flawed: &Flawed, mut request: InsertRequest) -> Result<InsertReply> {
        let reply = flawed.storage.insert(request.clone()).await;
        if !is_lost(&reply) {
            return reply;
        }
        flawed.reached();
        let asked = all_new(&request);
        request.batches.iter_mut().flatten().for_each(|job| job.id = JobId::generate());
        flawed.storage.insert(request).await.map(|_| asked)
    }
}

struct FailsAll;

#[async_trait]
impl Flaw for FailsAll {
    async fn settle(&self, flawed: &Flawed, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let answers = flawed.storage.settle(request).await?;
        if answers.len() < 2 || answers.iter().all(Result::is_ok) {
            return Ok(answers);
        }
        flawed.reached();
        let refused = |_| Err(Error::new(ErrorKind::Invalid, "settle jobs", "a row was refused"));
        Ok(answers.into_iter().map(refused).collect())
    }
}

/// Says that nothing was changed, although that is not known.
struct CallsItUnavailable;

#[async_trait]
impl Flaw for CallsItUnavailable {
    async fn insert(&self, flawed: &Flawed, request: InsertRequest) -> Result<InsertReply> {
        let reply = flawed.storage.insert(request).await;
        if is_lost(&reply) {
            flawed.reached();
            return Err(Error::new(ErrorKind::Unavailable, "insert jobs", "the storage did not answer"));
        }
        reply
    }
}
