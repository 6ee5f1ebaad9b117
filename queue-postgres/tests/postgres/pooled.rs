//! Q1, Q22 behind a PgBouncer, which answers for a server that it has lost.

use std::sync::Arc;
use std::time::Duration;

use queue_core::ErrorKind;
use queue_postgres::{Pooler, PostgresBackend, PostgresConfig};
use queue_testkit::proxy::Proxy;
use queue_testserver::PgBouncer;

use crate::common::{LONG, Place, count, in_time, insert, spec, terminate};
use crate::drain::Drain;

/// A PgBouncer whose connections to the server go through a proxy.
struct Setup {
    proxy: Proxy,
    pooled: PgBouncer,
    place: Arc<Place>,
}

impl Setup {
    async fn new() -> Self {
        let place = Arc::new(Place::new());
        let proxy = Proxy::start(place.server()).await.unwrap();
        let upstream = place.url().replacen(place.server(), &proxy.address().to_string(), 1);
        let pooled = PgBouncer::start(&upstream).unwrap();
        Self { proxy, pooled, place }
    }

    fn config(&self) -> PostgresConfig {
        let config = self.place.config_of(self.pooled.url());
        config.pooler(Pooler::Transaction).poll_interval(Duration::from_millis(50))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_reply_the_pooler_lost_is_of_unknown_outcome() {
    let setup = Setup::new().await;
    let backend = PostgresBackend::open(setup.config()).await.unwrap();
    let batch = vec![spec("\"marked\""), spec("2")];
    for (inserted, request) in [(true, batch), (false, vec![spec("\"marked again\""), spec("2")])] {
        let loss = match inserted {
            true => setup.proxy.lose_request("marked"),
            false => setup.proxy.lose_reply("marked"),
        };
        let ids: Vec<_> = request.iter().map(|job| job.id).collect();
        let error = in_time("an answer", insert(&backend, request.clone())).await.unwrap_err();
        loss.happened(LONG).await.unwrap();
        assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
        assert_eq!(error.jobs(), ids);
        let mut again = insert(&backend, request.clone()).await;
        if let Err(error) = &again {
            // It may give out another connection that it does not know to be lost.
            assert!(error.is_retryable(), "{error}");
            again = insert(&backend, request).await;
        }
        assert!(again.unwrap().iter().all(|job| job.inserted == inserted));
    }
    assert_eq!(count(&backend).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_loses_its_server_again_and_again_is_waited_for() {
    let setup = Setup::new().await;
    let drain = Drain::start(Arc::clone(&setup.place), setup.config()).await;
    let client = setup.place.connect().await;
    for _ in 0..10 {
        setup.proxy.cut();
        drain.goes_on().await;
        terminate(&client, setup.place.schema()).await;
        drain.goes_on().await;
    }
    assert!(drain.backend.failures() > 3, "{:?}", drain.backend.report());
    drain.finish().await;
}
