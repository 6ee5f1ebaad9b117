//! Writes payloads and results of typed tasks so that the same types can read them.

use std::any::type_name;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::payload::to_json;
use crate::{Error, HandlerResult, JobError, Payload, Result};

/// Writes the payload of one job.
///
/// # Errors
/// [`Invalid`](crate::ErrorKind::Invalid) names the task if the payload cannot be written, or does
/// not decode as a `P`.
pub(crate) fn payload<P: Serialize + DeserializeOwned>(task: &str, value: &P) -> Result<Payload> {
    readable(value).map_err(|error| refuse(format!("enqueue a job of task `{task}`"), error))
}

/// Writes the payloads of a batch, in its order.
///
/// # Errors
/// As [`payload`], with the number of the first refused job.
pub(super) fn payloads<P: Serialize + DeserializeOwned>(task: &str, values: &[P]) -> Result<Vec<Payload>> {
    let many = values.len();
    let encode = |(number, value)| {
        readable(value).map_err(|error| {
            refuse(format!("enqueue a job of task `{task}` (number {number} of {many})"), error)
        })
    };
    (1_usize..).zip(values).map(encode).collect()
}

/// Writes the result of an attempt. Fails if the result cannot be written, or does not decode as an
/// `R`.
pub(super) fn result<R: Serialize + DeserializeOwned>(value: &R) -> HandlerResult<String> {
    let text = to_json("write a result", value)?;
    if let Err(error) = serde_json::from_str::<R>(&text) {
        let wanted = type_name::<R>();
        return Err(JobError::retry(format!("the result does not decode as `{wanted}` again: {error}")));
    }
    Ok(text)
}

/// Encodes a value and decodes it again. Otherwise each attempt of the job could fail, long after
/// its enqueue succeeded.
fn readable<P: Serialize + DeserializeOwned>(value: &P) -> Result<Payload> {
    let payload = Payload::encode(value)?;
    payload.decode::<P>().map_err(|error| {
        let wanted = type_name::<P>();
        let fault = format!("the written payload does not decode as `{wanted}` again: {}", error.message());
        Error::invalid("write a payload", fault).with_source(error)
    })?;
    Ok(payload)
}

fn refuse(operation: String, error: Error) -> Error {
    Error::invalid(operation, error.message()).with_source(error)
}
