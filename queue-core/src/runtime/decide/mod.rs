pub(crate) mod buffer;
pub(crate) mod planner;
