//! Each role does its own work.

use queue_core::backend::{CancelReply, CancelRequest, Inspect, ListRequest, RetryReply, RetryRequest};
use queue_core::{
    Enqueuer, EnqueuerExt, ErrorKind, HandlerResult, JobContext, JobEnd, JobId, JobQueue, JobState, Kind,
    NewJob, Payload, QueueName, TaskDefinition, Worker,
};
use queue_postgres::Rights;
use tokio::time::timeout;

use crate::refusals::{
    PATIENCE, changes_nothing_directly, enqueues_nothing, lacks_a_right, lists_no_jobs, pauses_nothing,
    sorted, works_nothing,
};
use crate::role::Role;
use crate::test_schema::{TestSchema, driver, unique};

/// Functions that only programs that run jobs call.
const OF_WORKERS: &[&str] = &[
    "change_schedules",
    "claim",
    "complete_job",
    "due_schedules",
    "heartbeat",
    "known_jobs",
    "leases",
    "list_schedules",
    "maintain",
    "next_ready",
    "read_schedules",
    "ready_queues",
    "register",
    "retire",
    "settle",
    "settle_and_insert",
    "wanted_cancels",
];

/// Functions that only programs that enqueue jobs call.
const OF_ENQUEUERS: &[&str] = &[
    "cancel",
    "change_schedules",
    "enqueue",
    "enqueue_jobs",
    "insert_jobs",
    "insert_unique_jobs",
    "known_jobs",
    "list_schedules",
    "read_schedules",
    "watch",
];

/// Functions that only operators call.
const OF_OPERATORS: &[&str] = &[
    "await_claims",
    "cancel",
    "change_schedules",
    "list_schedules",
    "pause",
    "paused",
    "read_schedules",
    "resume",
    "retry",
];

/// Functions that all roles may call, because they read no job.
const OF_ALL: &[&str] = &["id", "storage_id", "ulid"];

const TO_READ: &[&str] = &[
    "attempt_errors",
    "jobs",
    "live",
    "outcomes",
    "overview",
    "queues",
    "schedules",
    "storage",
    "unique_keys",
    "workers",
];

#[tokio::test]
async fn worker_role_runs_jobs_and_nothing_else() {
    let schema = TestSchema::new("rights_worker").await;
    let role = Role::with(&schema, Rights::Worker).await;
    let owner = schema.open(driver()).await.unwrap();
    let job = JobQueue::new(owner.clone()).enqueue_value("greet", "ada").await.unwrap();
    // A follow-up that is stored already, which is compared with the stored one.
    let known = JobId::generate();
    let receipt = move || {
        let kind = Kind::new("receipt").unwrap();
        NewJob::new(kind, Payload::json("{}").unwrap()).id(known).run_at(known.timestamp())
    };
    JobQueue::new(owner.clone()).enqueue(receipt()).await.unwrap();

    let backend = role.open(&schema).await;
    let (done, mut runs) = tokio::sync::mpsc::unbounded_channel();
    let greet = TaskDefinition::from_fn("greet", move |context: JobContext, name: String| {
        let done = done.clone();
        async move {
            context.enqueue(receipt()).on_success(&context)?;
            done.send(name)?;
            HandlerResult::Ok(())
        }
    });
    let mut queue = JobQueue::new(backend.clone());
    greet.register(&mut queue).unwrap();
    let worker = Worker::new(&queue).start().unwrap();
    assert_eq!(timeout(PATIENCE, runs.recv()).await.unwrap().unwrap(), "ada");
    worker.shutdown(PATIENCE).await;
    let record = owner.extensions().inspect.unwrap().jobs(&[job]).await.unwrap().pop().flatten().unwrap();
    assert_eq!(record.state, JobState::Completed);
    assert_eq!(
        schema.column("SELECT state FROM {s}.workers").await,
        ["retired"],
        "the role had all rights it needed"
    );

    enqueues_nothing(&backend, job).await;
    lists_no_jobs(&*backend).await;
    pauses_nothing(&*backend).await;
    role.is_refused(&schema, "SELECT {s}.enqueue('greet', '1')").await;
    role.is_refused(&schema, "SELECT payload FROM {s}.overview").await;
    changes_nothing_directly(&role, &schema).await;
    assert_eq!(role.functions(&schema).await, sorted(&[OF_WORKERS, OF_ALL]));
    assert_eq!(role.tables(&schema, "SELECT").await, ["migrations"]);
    role.remove(&schema).await;
    schema.remove().await;
}

#[tokio::test]
async fn enqueuer_role_enqueues_and_cancels_and_nothing_else() {
    let schema = TestSchema::new("rights_enqueuer").await;
    let role = Role::with(&schema, Rights::Enqueuer).await;
    let backend = role.open(&schema).await;
    let client = JobQueue::new(backend.clone());

    let job = |payload: &str| NewJob::new(Kind::new("greet").unwrap(), Payload::json(payload).unwrap());
    let id = JobId::generate();
    assert!(client.submit(vec![job("1").id(id)]).await.unwrap()[0].is_new());
    assert!(!client.submit(vec![job("1").id(id)]).await.unwrap()[0].is_new(), "it is stored once");
    let other = client.submit(vec![job("2").id(id)]).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict);
    assert_eq!(client.dequeue(id).await.unwrap(), CancelReply::Cancelled);
    let ids = client.enqueue_values("greet", &[1, 2]).await.unwrap();
    assert_eq!(
        backend.cancel(CancelRequest::new(ids)).await.unwrap(),
        [CancelReply::Cancelled, CancelReply::Cancelled]
    );
    assert_eq!(client.wait(id).await.unwrap(), JobEnd::Cancelled { reason: None });
    let enqueue = schema.filled("SELECT {s}.ulid({s}.enqueue('greet', '3'))");
    let row = role.session.query_one(&enqueue, &[]).await.unwrap();
    let by_sql: JobId = row.get::<_, &str>(0).parse().unwrap();

    works_nothing(&*backend).await;
    lists_no_jobs(&*backend).await;
    pauses_nothing(&*backend).await;
    role.is_refused(&schema, "SELECT payload FROM {s}.overview").await;
    changes_nothing_directly(&role, &schema).await;
    assert_eq!(role.functions(&schema).await, sorted(&[OF_ENQUEUERS, OF_ALL]));
    assert_eq!(role.tables(&schema, "SELECT").await, ["migrations"]);
    let stored = schema.open(driver()).await.unwrap();
    assert!(stored.extensions().inspect.unwrap().jobs(&[by_sql]).await.unwrap()[0].is_some());
    role.remove(&schema).await;
    schema.remove().await;
}

#[tokio::test]
async fn enqueuer_reads_no_payload_of_a_known_id() {
    let schema = TestSchema::new("rights_payload").await;
    let role = Role::with(&schema, Rights::Enqueuer).await;
    let owner = JobQueue::new(schema.open(driver()).await.unwrap());
    let id = owner.enqueue_value("greet", "a secret").await.unwrap();
    let ask = schema.filled("SELECT payload FROM {s}.known_jobs(ARRAY[{s}.id($1)], ARRAY[$2])");
    for (guess, answer) in [("\"a guess\"", ""), ("", ""), ("\"a secret\"", "\"a secret\"")] {
        let row = role.session.query_one(&ask, &[&id.to_string(), &guess]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), answer);
    }
    role.remove(&schema).await;
    schema.remove().await;
}

#[tokio::test]
async fn reader_sees_jobs_and_changes_none() {
    let schema = TestSchema::new("rights_reader").await;
    let role = Role::with(&schema, Rights::Reader).await;
    let owner = JobQueue::new(schema.open(driver()).await.unwrap());
    let id = owner.enqueue_value("greet", "ada").await.unwrap();

    let backend = role.open(&schema).await;
    let jobs: &dyn Inspect = backend.extensions().inspect.unwrap();
    assert_eq!(jobs.list(ListRequest::new(10)).await.unwrap()[0].job.id, id);
    let record = jobs.jobs(&[id]).await.unwrap().pop().flatten().unwrap();
    assert_eq!(record.job.payload.as_str(), "\"ada\"");
    let overview = schema.filled("SELECT ulid, payload::text FROM {s}.overview WHERE state = 'ready'");
    let row = role.session.query_one(&overview, &[]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), (&*id.to_string(), "\"ada\""));

    assert_eq!(backend.extensions().manage.unwrap().paused().await.unwrap(), []);

    works_nothing(&*backend).await;
    enqueues_nothing(&backend, id).await;
    pauses_nothing(&*backend).await;
    role.is_refused(&schema, "SELECT {s}.enqueue('greet', '1')").await;
    changes_nothing_directly(&role, &schema).await;
    assert_eq!(
        role.functions(&schema).await,
        sorted(&[OF_ALL, &["list_schedules", "next_ready", "paused", "read_schedules"]])
    );
    assert_eq!(role.tables(&schema, "SELECT").await, sorted(&[TO_READ, &["migrations"]]));
    role.remove(&schema).await;
    schema.remove().await;
}

#[tokio::test]
async fn operator_role_pauses_cancels_and_retries_and_nothing_else() {
    let schema = TestSchema::new("rights_operator").await;
    let role = Role::with(&schema, Rights::Operator).await;
    let owner = JobQueue::new(schema.open(driver()).await.unwrap());
    let id = owner.enqueue_value("greet", "ada").await.unwrap();

    let backend = role.open(&schema).await;
    let (manage, queue) = (backend.extensions().manage.unwrap(), QueueName::default());
    manage.pause(&queue).await.unwrap();
    assert_eq!(manage.paused().await.unwrap(), std::slice::from_ref(&queue));
    manage.resume(&queue).await.unwrap();
    assert_eq!(manage.paused().await.unwrap(), []);
    let cancel = CancelRequest::new(vec![id]).signal_running();
    assert_eq!(backend.cancel(cancel).await.unwrap(), [CancelReply::Cancelled]);
    let retried = manage.retry(RetryRequest::new(vec![id])).await.unwrap();
    assert_eq!(retried, [RetryReply::Retried]);

    works_nothing(&*backend).await;
    lists_no_jobs(&*backend).await;
    lacks_a_right(JobQueue::new(backend.clone()).enqueue_value("greet", "ada").await);
    changes_nothing_directly(&role, &schema).await;
    assert_eq!(role.functions(&schema).await, sorted(&[OF_OPERATORS, OF_ALL]));
    assert_eq!(role.tables(&schema, "SELECT").await, ["migrations"]);
    role.remove(&schema).await;
    schema.remove().await;
}

#[tokio::test]
async fn open_without_rights_names_the_cause() {
    let schema = TestSchema::new("rights_none").await;
    let role = Role::new(&schema).await;
    lacks_a_right(schema.open(role.driver.clone()).await);
    let missing = queue_postgres::PostgresConfig::new(role.driver.clone()).schema(&unique("absent")).unwrap();
    lacks_a_right(queue_postgres::PostgresBackend::open(missing).await);
    role.remove(&schema).await;
    schema.remove().await;
}
