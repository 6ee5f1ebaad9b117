//! The clock of a queue: that of the system, or one that a test moves.

#[cfg(feature = "testing")]
use std::sync::{Arc, Mutex};

use crate::Timestamp;

#[derive(Debug, Clone, Default)]
pub(crate) enum Clock {
    #[default]
    System,
    /// Stands still until a test moves it.
    #[cfg(feature = "testing")]
    Test(Arc<Mutex<Timestamp>>),
}

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            #[cfg(feature = "testing")]
            Self::Test(time) => *crate::poison::ignore_poison(time.lock()),
        }
    }
}

#[cfg(feature = "testing")]
impl Clock {
    pub(crate) fn at(time: Timestamp) -> Self {
        Self::Test(Arc::new(Mutex::new(time)))
    }

    /// Moves a clock of a test forward to this time. Returns whether it is one.
    pub(crate) fn advance_to(&self, to: Timestamp) -> bool {
        let Self::Test(time) = self else { return false };
        let mut time = crate::poison::ignore_poison(time.lock());
        *time = to.max(*time);
        true
    }
}
