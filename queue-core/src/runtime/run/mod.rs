pub(crate) mod attempt;
pub(crate) mod panic;
