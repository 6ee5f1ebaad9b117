//! Tests what maintenance removes.

use std::time::Duration;

use crate::common::{TestFolder, register};
use queue_core::backend::{MaintainRequest, Prune, RetireRequest};
use queue_core::{Backend, Timestamp};

#[tokio::test]
async fn retired_worker_is_removed_after_a_day() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let (retired, _alive) = (register(&backend).await, register(&backend).await);
    backend.retire(RetireRequest::new(retired)).await.unwrap();
    let workers = || -> i64 {
        folder.connection().query_row("SELECT count(*) FROM queue_workers", [], |row| row.get(0)).unwrap()
    };
    for (hours, left) in [(23, 2), (25, 1)] {
        let now = Timestamp::now().saturating_add(Duration::from_secs(hours * 60 * 60));
        backend.maintain(MaintainRequest::prune(Prune::default()).at(now)).await.unwrap();
        assert_eq!(workers(), left, "{hours}");
    }
}
