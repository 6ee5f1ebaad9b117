//! A case of the broken promise must detect each mutant.

use std::sync::Arc;
use std::time::Duration;

use queue_postgres::tokio_postgres::Client;
use queue_testkit::conformance::Suite;
use queue_testserver::url;
use tokio::runtime::{Builder, Runtime};

use crate::subject::{Mutant, Wrong, sequence};
use crate::sweeper::Sweeper;
use crate::test_schema::{connect, driver, unique};

/// Timeout of a case; a case that times out detects no mutant.
const PATIENCE: Duration = Duration::from_secs(200);
/// Makes runs repeatable.
const SEED: u64 = 7;

/// Defines the mutants of a file, each as a test: the function, and the fragments to replace with
/// their replacements.
///
/// ```text
/// mutants! {
///     Q4 settles_without_the_claim => function("settle", &[(
///         "AND l.claim = s.claim",
///         "AND {reached}",
///     )]),
/// }
/// ```
macro_rules! mutants {
    ($($promise:ident $name:ident => $wrong:expr),+ $(,)?) => {$(
        #[test]
        fn $name() {
            $crate::caught::is_caught(stringify!($promise), $wrong);
        }
    )+};
}
pub(crate) use mutants;

/// A sequence in a separate schema, read by a session that outlives the schemas of the cases.
struct Count {
    runtime: Runtime,
    client: Client,
    name: String,
}

impl Count {
    fn new() -> Self {
        let runtime = runtime();
        let name = unique("mutant");
        let client = runtime.block_on(async {
            let client = connect(&driver()).await;
            let sequence = sequence(&name);
            client.batch_execute(&format!("CREATE SCHEMA {name}; CREATE SEQUENCE {sequence}")).await.unwrap();
            client
        });
        Self { runtime, client, name }
    }

    /// The number of times that the mutation was reached since the last call.
    fn take(&self) -> u64 {
        let sequence = sequence(&self.name);
        let sql = format!(
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END, setval('{sequence}', 1, false) FROM {sequence}"
        );
        let times: i64 = self.runtime.block_on(self.client.query_one(&sql, &[])).unwrap().get(0);
        u64::try_from(times).unwrap()
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        let sql = format!("SET client_min_messages = 'warning'; DROP SCHEMA {} CASCADE", self.name);
        // The server stops soon, too.
        self.runtime.block_on(self.client.batch_execute(&sql)).ok();
    }
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Runs the cases of the promise (`Q4`) until one fails. The mutation must have been reached in it.
pub(crate) fn is_caught(promise: &str, wrong: Wrong) {
    let count = Count::new();
    let sweeper = Arc::new(Sweeper::new());
    sweeper.start(&url().unwrap());
    let suite = Suite::new(Mutant::new(wrong, count.name.clone(), Arc::clone(&sweeper))).unwrap();
    let suite = suite.with_seed(SEED).with_timeout(PATIENCE);
    let found = suite.find(promise, || count.take());
    sweeper.finish();
    println!("{}", found.unwrap());
}
