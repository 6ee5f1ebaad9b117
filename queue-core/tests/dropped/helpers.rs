//! The helpers for tests themselves.

use queue_core::testing::drop_after;

#[tokio::test]
async fn what_drops_a_future_drops_it_when_it_is_dropped() {
    let held = std::sync::Arc::new(());
    let long = || {
        let held = std::sync::Arc::clone(&held);
        async move {
            std::future::pending::<()>().await;
            drop(held);
        }
    };
    assert_eq!(drop_after(1, drop_after(9, long())).await, None);
    assert_eq!(std::sync::Arc::strong_count(&held), 1);
}
