//! One attempt of one job: the handler, its timeout, its panic, and the verdict.

pub(crate) mod attempt;
pub(crate) mod verdict;
