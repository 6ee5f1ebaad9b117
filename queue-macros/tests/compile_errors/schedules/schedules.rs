//! Wrong schedules of a task.

use queue_macros::Task;
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize, Task)]
#[task(kind = "clean-up", cron = "30 25 * * *", tz = "Europe/Berln", crate = "queue_core")]
struct WrongTimes {}

#[derive(Default, Serialize, Deserialize, Task)]
#[task(kind = "clean-up", every = "10", tz = "UTC", crate = "queue_core")]
struct WrongInterval {}

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "clean-up", every = "10s", crate = "queue_core")]
struct NoDefault {}

fn main() {}
