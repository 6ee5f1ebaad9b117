#![doc = include_str!("../README.md")]

mod cron;
mod fields;
mod invalid;
mod zone;

pub use cron::Cron;
pub use invalid::Invalid;
pub use zone::Zone;
