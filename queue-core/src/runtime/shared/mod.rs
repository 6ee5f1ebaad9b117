pub(crate) mod served_backend;
pub(crate) mod worker_state;
