//! Completing a job in a transaction of the application.

use std::any::TypeId;
use std::fmt;

use serde::Serialize;

use super::JobContext;
use crate::backend::SqlDialect;
use crate::payload::to_json;
use crate::sql_contract::{SqlCompletion, sealed};
use crate::{Error, ErrorKind, Result, SqlRequest, SqlStatement, SqlWake};

const OPERATION: &str = "complete a job in a transaction";

/// A request to complete the job of a handler in a transaction of the application. The trait `Tx`
/// of a backend or an adapter sends it: `context.complete(&result).tx(&mut tx).await?`.
///
/// [`JobContext::complete`] describes it.
#[must_use = "nothing happens until the request is sent in a transaction, by `tx`"]
pub struct Complete {
    context: JobContext,
    result: Result<Option<String>>,
}

impl JobContext {
    /// Returns a request that completes this job in a transaction of the application, with its
    /// result and its [follow-ups](crate::Enqueue::on_success). So the changes of the handler and
    /// the completion of its job are committed together, or neither.
    ///
    /// ```
    /// # use queue_core::{Complete, HandlerResult, JobContext, Result};
    /// # struct Transaction;
    /// # impl Transaction { async fn commit(self) -> Result<()> { Ok(()) } }
    /// # async fn begin() -> Result<Transaction> { Ok(Transaction) }
    /// # trait Tx { async fn tx(self, _: &mut Transaction) -> Result<()>; }
    /// # impl Tx for Complete { async fn tx(self, _: &mut Transaction) -> Result<()> { Ok(()) } }
    /// # struct ChargeOrder;
    /// async fn charge_order(job: ChargeOrder, context: JobContext) -> HandlerResult<u32> {
    ///     let mut tx = begin().await?;
    ///     // … changes of the application …
    ///     let charges = 1;
    ///     context.complete(&charges).tx(&mut tx).await?; // the trait `Tx` of the driver
    ///     tx.commit().await?;
    ///     Ok(charges)
    /// }
    /// ```
    ///
    /// If the lease is lost, because another worker runs the job or will, the request fails with
    /// [`LeaseLost`](ErrorKind::LeaseLost). Return that error, so that the transaction is rolled
    /// back. The row of the job is locked until the transaction ends; so send this last.
    ///
    /// After the request was sent, only the commit completes the job, whatever the handler returns.
    /// If there is no commit, the attempt has failed, also if the handler returns `Ok`: the worker
    /// finds out which by the lease, so that the lost answer to a commit does no harm. A handler
    /// may roll back, and send the request again in another transaction.
    ///
    /// The result is that of the request; the value that the handler returns is dropped. A `()` is
    /// no result.
    ///
    /// # Errors
    /// Of the request, besides those of an [enqueue](crate::Enqueue) in a transaction:
    /// - [`LeaseLost`](ErrorKind::LeaseLost): the lease is lost, or the job was completed before.
    /// - [`Invalid`](ErrorKind::Invalid): the result cannot be written as JSON, or is too large.
    /// - [`NotFound`](ErrorKind::NotFound): the context was made by a test, without a lease.
    pub fn complete<R: Serialize + ?Sized + 'static>(&self, result: &R) -> Complete {
        let is_unit = TypeId::of::<R>() == TypeId::of::<()>();
        let result = if is_unit { Ok(None) } else { to_json(OPERATION, result).map(Some) };
        Complete { context: self.clone(), result }
    }
}

impl sealed::Sealed for Complete {}

impl SqlRequest for Complete {
    type Handles = ();

    fn into_sql(self, dialect: SqlDialect, wake: SqlWake) -> Result<SqlStatement<()>> {
        let jobs = self.context.jobs()?;
        let Some(token) = self.context.lease() else {
            let message = "this context was made without a lease (see `JobContext::with_lease`)";
            return Err(Error::new(ErrorKind::NotFound, OPERATION, message));
        };
        let result = self.result?;
        let (bytes, limit) = (result.as_ref().map_or(0, String::len), jobs.limits().result_bytes);
        if bytes > limit {
            return Err(Error::invalid(
                OPERATION,
                format!("the result is {bytes} bytes, the limit is {limit}"),
            ));
        }
        let completion = SqlCompletion { token, result };
        let (follow_ups, before) = self.context.attempt_state.begin_completion();
        let statement = SqlStatement::completing(jobs.clone(), &completion, follow_ups, dialect, wake);
        statement.inspect_err(|_| self.context.attempt_state.end_completion(before))
    }
}

impl fmt::Debug for Complete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Complete").field("job", &self.context.id()).finish_non_exhaustive()
    }
}
