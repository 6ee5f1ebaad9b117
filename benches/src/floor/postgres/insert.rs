//! Inserts jobs.

use std::time::SystemTime;

use anyhow::{Result, ensure};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::json::Json;
use crate::floor::store::{KINDS, LEASE, MAX_RETRIES, NewJob, QUEUE};

/// Inserts all jobs as ready.
pub(super) async fn insert(client: &Client, statement: &Statement, jobs: &[NewJob]) -> Result<()> {
    let now = SystemTime::now();
    let many = jobs.len();
    let ids: Vec<Uuid> = jobs.iter().map(|job| Uuid::from_bytes(job.id)).collect();
    let payloads: Vec<Json<'_>> = jobs.iter().map(|job| Json(&job.payload)).collect();
    let stored = client
        .execute(
            statement,
            &[
                &ids,
                &vec![i32::try_from(KINDS[0])?; many],
                &vec![i32::try_from(QUEUE)?; many],
                &vec![0_i16; many],
                &vec![now; many],
                &vec![i32::try_from(MAX_RETRIES)?; many],
                &vec![LEASE; many],
                &payloads,
            ],
        )
        .await?;
    ensure!(stored == u64::try_from(many)?, "the floor stored {stored} of {many} jobs");
    Ok(())
}
