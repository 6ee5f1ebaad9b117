//! Runs the statements of a mutated backend on a separate connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::Result;
use queue_core::backend::{MaintainReply, MaintainRequest, SettleRequest};
use rusqlite::{Connection, params};
use tokio::time::sleep;

use crate::caught::mutants;
use crate::mutated::{Before, Beside};
use crate::subject::Mutation::Before as Statements;

mutants! {
    Q4 settles_without_the_token => Statements(|| Arc::new(WithoutTheToken)),
    Q11 rescues_without_the_lock_of_the_worker => Statements(|| Arc::new(WithoutTheLock::default())),
}

/// Sets the token of the lease to the token of the request, so that the comparison always succeeds.
struct WithoutTheToken;

#[async_trait]
impl Before for WithoutTheToken {
    async fn settle(&self, beside: &Beside, request: &SettleRequest) -> Result<()> {
        for settlement in &request.settlements {
            let (job, claim) = (settlement.token.job.to_bytes(), settlement.token.claim.to_bytes());
            let sql = "UPDATE queue_live SET claim = ?2 WHERE id = ?1 AND state = 2 AND claim <> ?2";
            beside.count(beside.run(|connection| connection.execute(sql, params![job, claim])));
        }
        Ok(())
    }
}

/// Finds expired workers in one transaction and marks them as lost in another, without checking the
/// expiry again. A heartbeat between the two has no effect.
#[derive(Default)]
struct WithoutTheLock(AtomicU64);

impl WithoutTheLock {
    /// Waits briefly for a heartbeat.
    async fn wait_for_a_heartbeat(&self) {
        let before = self.0.load(Ordering::SeqCst);
        for _ in 0..50 {
            if self.0.load(Ordering::SeqCst) != before {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[async_trait]
impl Before for WithoutTheLock {
    async fn after_heartbeat(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    async fn maintain(&self, beside: &Beside, request: &MaintainRequest) -> Result<MaintainReply> {
        let mut reply = MaintainReply::default();
        let Some(now) = request.now.filter(|_| request.rescue > 0) else { return Ok(reply) };
        let expired = beside.run(|connection| expired(connection, now.as_micros()));
        if expired.is_empty() {
            return Ok(reply);
        }
        self.wait_for_a_heartbeat().await;
        for worker in expired {
            let sql = "UPDATE queue_workers SET state = 1 WHERE worker_id = ?1 AND state = 0";
            let lost = beside.run(|connection| connection.execute(sql, [worker]));
            beside.count(lost);
            reply.workers_lost += u64::try_from(lost).unwrap_or_default();
        }
        Ok(reply)
    }
}

fn expired(connection: &Connection, now: i64) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT worker_id FROM queue_workers WHERE state = 0 AND expires_at <= ?1";
    connection.prepare(sql)?.query_map([now], |row| row.get(0))?.collect()
}
