//! A web application that signs users up, charges orders and builds reports. Its jobs are stored in
//! its own database: an SQLite file, or PostgreSQL with the feature of that name.

#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../../../docs/web-application.md")]
struct WebApplication;

pub mod jobs;
pub mod web;

use std::sync::atomic::{AtomicU32, Ordering};

use queue::{JobQueue, Worker};

#[cfg(feature = "postgres")]
pub type Database = sqlx::Postgres;
#[cfg(all(feature = "sqlite", not(feature = "postgres")))]
pub type Database = sqlx::Sqlite;
pub type Pool = sqlx::Pool<Database>;

/// What every request shares.
#[derive(Clone)]
pub struct Shop {
    pub pool: Pool,
    pub jobs: JobQueue,
}

impl Shop {
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        let pool = Pool::connect(url).await?;
        #[cfg(feature = "postgres")]
        sqlx::migrate!("migrations/postgres").run(&pool).await?;
        #[cfg(all(feature = "sqlite", not(feature = "postgres")))]
        sqlx::migrate!("migrations/sqlite").run(&pool).await?;
        Ok(Self { pool, jobs: queue::connect(url).await? })
    }

    /// The worker with every handler and schedule. It does not start if one asks for a `State`
    /// that is not here.
    pub fn worker(&self, gateway: Gateway) -> Worker {
        Worker::new(&self.jobs)
            .state(self.pool.clone())
            .state(gateway)
            .handle(jobs::send_welcome_email)
            .handle(jobs::charge_order)
            .handle(jobs::send_receipt)
            .handle(jobs::build_report)
            .handle(jobs::clean_up)
    }
}

/// The payment provider.
#[derive(Default)]
pub struct Gateway {
    away: AtomicU32,
}

impl Gateway {
    /// A provider whose next calls fail.
    pub fn away_for(calls: u32) -> Self {
        Self { away: calls.into() }
    }

    pub async fn knows(&self, customer: i64) -> anyhow::Result<bool> {
        Ok(customer > 0)
    }

    pub async fn charge(&self, _order: i64) -> anyhow::Result<()> {
        let one_less = |away: u32| away.checked_sub(1);
        let away = self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        anyhow::ensure!(!away, "the gateway is away");
        Ok(())
    }
}
