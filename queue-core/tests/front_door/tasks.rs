//! The tasks of these tests.

use std::time::Duration;

use queue_core::{QueueName, RetryPolicy, Task, TaskOptions};
use serde::{Deserialize, Serialize};

/// A task with every option.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Charge {
    pub(crate) order: i64,
}

impl Task for Charge {
    const KIND: &'static str = "charge";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions::new()
            .priority(3)
            .max_retries(4)
            .timeout(Duration::from_secs(5))
            .queue(QueueName::new("billing").unwrap())
            .retry(RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(9)))
    }
}

/// A task with a result and the options of the library.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measure {
    pub(crate) text: String,
}

impl Task for Measure {
    const KIND: &'static str = "measure";
    type Output = usize;
}

/// A task whose payload has no form that it reads again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Scale(pub(crate) f64);

impl Task for Scale {
    const KIND: &'static str = "scale";
    type Output = ();
}
