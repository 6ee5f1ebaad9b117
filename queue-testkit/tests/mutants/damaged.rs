//! Replies about jobs that cannot be read.

use async_trait::async_trait;
use queue_core::{Error, ErrorKind, JobId};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q16 compares_nothing_with_a_damaged_job => ReadsOn,
    Q22 reads_a_damaged_job => ReadsOn,
    Q22 names_no_damaged_job => Nameless,
    Q22 calls_a_damaged_job_invalid => Final,
}

/// Returns what it can of a damaged job.
struct ReadsOn;

#[async_trait]
impl Mutation for ReadsOn {
    fn read_damaged(&self, sound: &Sound, _job: JobId) -> Option<Error> {
        sound.reached();
        None
    }
}

struct Nameless;

#[async_trait]
impl Mutation for Nameless {
    fn read_damaged(&self, sound: &Sound, _job: JobId) -> Option<Error> {
        sound.reached();
        Some(Error::new(ErrorKind::Corrupt, "read jobs", "a value is damaged"))
    }
}

/// A worker would drop its results for such an error.
struct Final;

#[async_trait]
impl Mutation for Final {
    fn read_damaged(&self, sound: &Sound, job: JobId) -> Option<Error> {
        sound.reached();
        Some(Error::new(ErrorKind::Invalid, "read jobs", format!("the job {job} is damaged")))
    }
}
