//! States as the numbers that stand in the rows.

use queue_core::State;

use crate::error::{Outcome, corrupt};

/// The number of a state, for good: it is stored.
pub(crate) const fn number(state: State) -> i64 {
    match state {
        State::Scheduled => 0,
        State::Ready => 1,
        State::Running => 2,
        State::Retrying => 3,
        State::Completed => 4,
        State::Dead => 5,
        State::Cancelled => 6,
        // No row has it: a state that this version does not know is never stored.
        _ => -1,
    }
}

/// The state of a number.
pub(crate) fn state(stored: i64) -> Outcome<State> {
    State::ALL
        .iter()
        .copied()
        .find(|state| number(*state) == stored)
        .ok_or_else(|| corrupt(format!("no state has the number {stored}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_a_number_of_its_own() {
        for &known in State::ALL {
            assert_eq!(state(number(known)).unwrap(), known);
        }
        assert!(state(7).is_err());
    }
}
