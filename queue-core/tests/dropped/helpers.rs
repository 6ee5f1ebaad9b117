//! The helpers of `queue_core::testing`.

use queue_core::testing::drop_after;

#[tokio::test]
async fn dropped_drop_after_drops_its_future() {
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
