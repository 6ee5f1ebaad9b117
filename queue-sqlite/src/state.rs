//! Numbers of states, which the rows store.

use queue_core::JobState;

use crate::error::{Outcome, corrupt};

/// The number of a state. It must never change, because it is stored.
pub(crate) const fn number(state: JobState) -> i64 {
    match state {
        JobState::Scheduled => 0,
        JobState::Ready => 1,
        JobState::Running => 2,
        JobState::Retrying => 3,
        JobState::Completed => 4,
        JobState::Dead => 5,
        JobState::Cancelled => 6,
        // Never stored: this version does not know the state.
        _ => -1,
    }
}

pub(crate) fn state(stored: i64) -> Outcome<JobState> {
    JobState::ALL
        .iter()
        .copied()
        .find(|state| number(*state) == stored)
        .ok_or_else(|| corrupt(format!("no state has the number {stored}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_own_number() {
        for &known in JobState::ALL {
            assert_eq!(state(number(known)).unwrap(), known);
        }
        assert!(state(7).is_err());
    }
}
