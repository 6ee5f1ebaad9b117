pub(crate) mod claim;
pub(crate) mod heartbeat;
mod outage;
pub(crate) mod settle;
pub(crate) mod shutdown;
pub(crate) mod slot;
pub(crate) mod upkeep;
