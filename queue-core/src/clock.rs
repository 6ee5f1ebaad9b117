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
    pub(crate) fn for_test() -> Self {
        Self::Test(Arc::new(Mutex::new(Timestamp::now())))
    }

    /// Moves a clock for tests; that of the system is not moved.
    pub(crate) fn advance(&self, by: std::time::Duration) {
        if let Self::Test(time) = self {
            let mut time = crate::poison::ignore_poison(time.lock());
            *time = time.saturating_add(by);
        }
    }
}
