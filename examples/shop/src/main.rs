//! ```sh
//! DATABASE_URL='sqlite:shop.db?mode=rwc' cargo run
//! DATABASE_URL=postgres://localhost/shop cargo run --no-default-features --features postgres
//! ```

use std::time::Duration;

use shop::{Gateway, Shop, web};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init();
    let shop = Shop::open(&std::env::var("DATABASE_URL")?).await?;

    let worker = shop.worker(Gateway::default()).slots(16).start()?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    let serve = axum::serve(listener, web::router(shop));
    serve.with_graceful_shutdown(queue::terminated()).await?;
    worker.shutdown(Duration::from_secs(30)).await;
    Ok(())
}
