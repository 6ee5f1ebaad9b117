//! What upkeep removes.

use std::time::Duration;

use crate::common::{Place, register};
use queue_core::backend::{MaintainRequest, Prune, RetireRequest};
use queue_core::{Backend, Timestamp};

#[tokio::test]
async fn workers_gone_for_a_day_are_removed_though_no_job_is() {
    let place = Place::new();
    let backend = place.open().await;
    let (gone, _alive) = (register(&backend).await, register(&backend).await);
    backend.retire(RetireRequest::new(gone)).await.unwrap();
    let workers = || -> i64 {
        place.connection().query_row("SELECT count(*) FROM queue_workers", [], |row| row.get(0)).unwrap()
    };
    for (hours, left) in [(23, 2), (25, 1)] {
        let now = Timestamp::now().saturating_add(Duration::from_secs(hours * 60 * 60));
        backend.maintain(MaintainRequest::prune(Prune::default()).at(now)).await.unwrap();
        assert_eq!(workers(), left, "{hours}");
    }
}
