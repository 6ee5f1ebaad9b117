//! Batches: the contract that other drivers and languages use.

use std::process::Command;
use std::sync::Arc;

use queue_core::backend::{JobRecord, Stored};
use queue_core::{Backend, JobId, Result as QueueResult};
use queue_testkit::sql_contract::{SqlStorage, check};
use queue_testserver::url;
use tokio::runtime::Runtime;

use crate::test_schema::{TestSchema, driver};

struct Storage {
    runtime: Runtime,
    schema: TestSchema,
    backend: Arc<dyn Backend>,
}

impl SqlStorage for Storage {
    fn clear(&self) {
        let tables = "{s}.jobs, {s}.live, {s}.outcomes, {s}.unique_keys";
        self.runtime.block_on(self.schema.run(&format!("TRUNCATE {tables}")));
    }

    fn enqueue(&self, request: &str) -> Result<Vec<(JobId, String)>, String> {
        let sql =
            self.schema.filled("SELECT {s}.ulid(id), insertion FROM {s}.enqueue_jobs($1) ORDER BY number");
        let rows = self.runtime.block_on(self.schema.owner.query(&sql, &[&request]));
        let rows = rows.map_err(|error| error.as_db_error().map_or_else(String::new, ToString::to_string))?;
        Ok(rows.iter().map(|row| (row.get::<_, &str>(0).parse().unwrap(), row.get(1))).collect())
    }

    fn jobs(&self, ids: &[JobId]) -> QueueResult<Vec<Option<JobRecord>>> {
        self.runtime.block_on(self.backend.extensions().inspect.unwrap().jobs(ids))
    }

    fn stored(&self) -> QueueResult<Stored> {
        self.runtime.block_on(self.backend.extensions().audit.unwrap().stored())
    }
}

#[test]
fn every_vector_of_the_contract_holds() {
    let runtime = Runtime::new().unwrap();
    let (schema, backend) = runtime.block_on(async {
        let schema = TestSchema::new("sql_vectors").await;
        let backend = schema.open(driver()).await.unwrap();
        (schema, backend)
    });
    let storage = Storage { runtime, schema, backend };
    check(&storage).unwrap();
    storage.runtime.block_on(storage.schema.remove());
}

/// `psycopg` runs the same statement. Where it is not installed, the test says so and passes.
#[tokio::test(flavor = "multi_thread")]
async fn python_enqueues_with_psycopg() {
    let schema = TestSchema::new("sql_python").await;
    let program = schema.filled(
        "import json, sys\n\
        try:\n    import psycopg\nexcept ImportError:\n    sys.exit(77)\n\
        with psycopg.connect(sys.argv[1]) as connection:\n    \
            jobs = [{'kind': 'greet', 'payload': json.dumps({'name': 'ada'}), 'unique': 'ada'}] * 2\n    \
            rows = connection.execute('SELECT insertion FROM {s}.enqueue_jobs(%s)', (json.dumps(jobs),))\n    \
            print(rows.fetchall())\n",
    );
    match Command::new("python3").arg("-c").arg(program).arg(url().unwrap()).output() {
        Ok(output) if output.status.success() => {
            assert_eq!(String::from_utf8_lossy(&output.stdout), "[('new',), ('duplicate',)]\n");
        }
        Ok(output) if output.status.code() != Some(77) => {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        }
        _ => println!("skipped: `python3` with `psycopg` is not installed"),
    }
    schema.remove().await;
}
