//! Q16, Q22: what the caller knows when an answer is lost, and that it can be repeated.

use std::sync::Arc;
use std::time::Duration;

use queue_core::backend::{LeasesRequest, SettleRequest, Settled, Settlement, Verdict};
use queue_core::{
    Backend, Client, Enqueuer, Error, ErrorKind, HandlerResult, JobContext, JobId, JobQueue, NewJob, Payload,
    Queue, State, TaskOptions, Worker,
};
use queue_postgres::PostgresBackend;
use queue_testkit::proxy::{Loss, Proxy};

use crate::common::{LONG, Place, claim, count, in_time, insert, kind, register, spec};
use crate::watched::Watched;

/// A handle whose connections go through a proxy.
struct Setup {
    proxy: Proxy,
    backend: PostgresBackend,
    place: Place,
}

impl Setup {
    async fn new() -> Self {
        let place = Place::new();
        let proxy = Proxy::start(place.server()).await.unwrap();
        let config = place.config_at(proxy.address()).connections(1);
        let backend = PostgresBackend::open(config).await.unwrap();
        Self { proxy, backend, place }
    }

    /// With the statements of inserts, claims and settles prepared, so that the next ones are one question each.
    async fn prepared() -> Self {
        let setup = Self::new().await;
        let backend = &setup.backend;
        insert(backend, vec![spec("1")]).await.unwrap();
        let worker = register(backend).await;
        let jobs = backend.claim(claim(worker, 10)).await.unwrap().jobs;
        let settlement = Settlement::new(jobs[0].token, Verdict::Complete { result: None });
        backend.settle(SettleRequest::new(worker, vec![settlement])).await.unwrap();
        setup
    }
}

/// Jobs whose payloads name them in what is sent.
fn batch(payload: &str) -> Vec<NewJob> {
    let ids = JobId::generate_many(3);
    // Not in the order of their ids.
    let order = [ids[2], ids[0], ids[1]];
    let job = |id| NewJob::new(kind(), Payload::json(format!("{payload:?}")).unwrap()).id(id);
    order.into_iter().map(job).collect()
}

/// Submits jobs, of which a request or a reply is lost.
async fn loses(setup: &Setup, jobs: Vec<NewJob>, loss: Loss) -> Error {
    let client = Client::new(Arc::new(setup.backend.clone()));
    let error = in_time("the client", client.submit(jobs)).await.unwrap_err();
    loss.happened(LONG).await.unwrap();
    error
}

fn ids(submitted: &[queue_core::Submitted], inserted: bool) -> Vec<JobId> {
    assert!(submitted.iter().all(|job| job.inserted == inserted), "{submitted:?}");
    submitted.iter().map(|job| job.id).collect()
}

#[tokio::test]
async fn a_batch_whose_reply_is_lost_is_there_when_it_is_enqueued_again() {
    let setup = Setup::prepared().await;
    let before = count(&setup.backend).await;
    let plain = || (0..3).map(|_| NewJob::new(kind(), Payload::json("\"marked\"").unwrap()));
    let error = loses(&setup, plain().collect(), setup.proxy.lose_reply("marked")).await;
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    assert!(error.to_string().contains("the connection was lost"), "{error}");
    assert_eq!(error.jobs().len(), 3);

    let again = plain().zip(error.jobs()).map(|(job, id)| job.id(*id)).collect();
    let submitted = Client::new(Arc::new(setup.backend.clone())).submit(again).await.unwrap();
    assert_eq!(ids(&submitted, false), error.jobs(), "in the order of the batch");
    assert_eq!(count(&setup.backend).await, before + 3);
}

#[tokio::test]
async fn the_ids_of_a_lost_reply_are_in_the_order_of_the_batch() {
    let setup = Setup::prepared().await;
    let jobs = batch("marked");
    let error = loses(&setup, jobs.clone(), setup.proxy.lose_reply("marked")).await;
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    let submitted = Client::new(Arc::new(setup.backend.clone())).submit(jobs).await.unwrap();
    assert_eq!(ids(&submitted, false), error.jobs());
}

#[tokio::test]
async fn a_batch_that_never_arrived_is_made_when_it_is_enqueued_again() {
    let setup = Setup::prepared().await;
    let before = count(&setup.backend).await;
    let jobs = batch("marked");
    let error = loses(&setup, jobs.clone(), setup.proxy.lose_request("marked")).await;
    // It cannot know that the server saw nothing.
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    assert_eq!(count(&setup.backend).await, before);
    let submitted = Client::new(Arc::new(setup.backend.clone())).submit(jobs).await.unwrap();
    assert_eq!(ids(&submitted, true), error.jobs());
    assert_eq!(count(&setup.backend).await, before + 3);
}

#[tokio::test]
async fn each_caller_of_a_shared_commit_gets_the_ids_of_its_own_batch() {
    let setup = Setup::prepared().await;
    let client = Client::new(Arc::new(setup.backend.clone()));
    let lock = setup.place.connect().await;
    lock.batch_execute(&format!("BEGIN; LOCK TABLE {}.jobs", setup.place.schema())).await.unwrap();
    // The first two are under way and wait for the lock, or for a connection; the others wait for them.
    let submit = |number: usize| {
        let (client, jobs) = (client.clone(), batch(&format!("marked {number}")));
        tokio::spawn(async move { (jobs.clone(), client.submit(jobs).await) })
    };
    let calls: Vec<_> = (0..6).map(submit).collect();
    let is_waiting =
        "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass::oid";
    let table = format!("{}.jobs", setup.place.schema());
    crate::common::until("one waits for the lock", || async {
        lock.query_one(is_waiting, &[&table]).await.unwrap().get(0)
    })
    .await;
    let loss = setup.proxy.lose_reply("marked 5");
    lock.batch_execute("COMMIT").await.unwrap();
    loss.happened(LONG).await.unwrap();
    let mut unknown = 0;
    for call in calls {
        let (jobs, answer) = in_time("a call", call).await.unwrap();
        match answer {
            Ok(submitted) => assert!(submitted.iter().all(|job| job.inserted)),
            Err(error) => {
                unknown += 1;
                assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
                let again = client.submit(jobs).await.unwrap();
                assert_eq!(ids(&again, false), error.jobs());
            }
        }
    }
    assert!(unknown > 1, "the last batch shared its commit with others");
}

#[tokio::test]
async fn a_claim_whose_reply_is_lost_is_found_by_its_leases() {
    let setup = Setup::prepared().await;
    let worker = register(&setup.backend).await;
    insert(&setup.backend, vec![spec("1"), spec("2")]).await.unwrap();
    let request = claim(worker, 10);
    let id = request.claim;
    let loss = setup.proxy.lose_reply(id.to_bytes());
    let error = setup.backend.claim(request).await.unwrap_err();
    loss.happened(LONG).await.unwrap();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    let leases = setup.backend.leases(LeasesRequest::new(worker, id)).await.unwrap();
    assert_eq!(leases.iter().map(|job| job.attempt).collect::<Vec<_>>(), [1, 1]);
    assert!(setup.backend.claim(claim(worker, 10)).await.unwrap().jobs.is_empty());
}

#[tokio::test]
async fn a_settle_whose_reply_is_lost_is_done_when_it_is_repeated() {
    let setup = Setup::prepared().await;
    let worker = register(&setup.backend).await;
    insert(&setup.backend, (0..5).map(|_| spec("1")).collect()).await.unwrap();
    let jobs = setup.backend.claim(claim(worker, 10)).await.unwrap().jobs;
    let verdicts = [
        Verdict::Complete { result: Some(b"marked".to_vec()) },
        Verdict::Bury { error: "hopeless".into() },
        Verdict::Cancel { reason: "unwanted".into() },
    ];
    let settlements: Vec<_> =
        jobs.iter().zip(verdicts).map(|(job, verdict)| Settlement::new(job.token, verdict)).collect();
    let request = SettleRequest::new(worker, settlements);
    let loss = setup.proxy.lose_reply("marked");
    let error = setup.backend.settle(request.clone()).await.unwrap_err();
    loss.happened(LONG).await.unwrap();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    for answer in setup.backend.settle(request).await.unwrap() {
        assert_eq!(answer.unwrap(), Settled::Done);
    }
    let stored = setup.backend.audit().unwrap().stored().await.unwrap();
    assert_eq!((stored.live.len(), stored.outcomes.len()), (2, 4));
}

/// Runs one job, the reply to whose claim or settle is lost; what the worker met.
async fn a_worker_goes_on(lost: &str) -> Arc<Watched> {
    let setup = Setup::prepared().await;
    let backend = Arc::new(Watched::new(setup.backend.clone()));
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |context: JobContext, _: Payload| {
        let tell = tell.clone();
        async move {
            context.capture_result(format!("\"the result {}\"", context.id()));
            tell.send((context.id(), context.attempt())).ok();
            HandlerResult::Ok(())
        }
    };
    let mut queue = JobQueue::new(Arc::clone(&backend) as Arc<dyn Backend>);
    queue.handle(kind().as_str(), Arc::new(handler), TaskOptions::new()).unwrap();
    let job = queue.enqueue(kind().as_str(), Payload::json("1").unwrap()).await.unwrap();
    let loss = setup.proxy.lose_reply(lost);
    let worker = Worker::new().serve(&queue).start().unwrap();
    loss.happened(LONG).await.unwrap();
    assert_eq!(in_time("the job", told.recv()).await, Some((job, 1)));
    in_time("the shutdown", worker.shutdown(Duration::from_secs(10))).await;
    let record = queue.inspect().unwrap().jobs(&[job]).await.unwrap().remove(0).unwrap();
    assert_eq!((record.state, record.attempt), (State::Completed, 1));
    assert!(told.try_recv().is_err(), "it ran once");
    backend
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_adopts_what_it_claimed_without_an_answer() {
    let backend = a_worker_goes_on("send-email").await;
    assert_eq!(backend.failures_of("claim"), 1, "{:?}", backend.report());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_repeats_a_settle_that_had_no_answer() {
    let backend = a_worker_goes_on("the result").await;
    assert_eq!(backend.failures_of("settle"), 1, "{:?}", backend.report());
}
