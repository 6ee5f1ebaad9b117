//! Numbers of states, which the rows store.

use queue_core::State;

use crate::error::{Outcome, corrupt};

/// The number of a state. It must never change, because it is stored.
pub(crate) const fn number(state: State) -> i64 {
    match state {
        State::Scheduled => 0,
        State::Ready => 1,
        State::Running => 2,
        State::Retrying => 3,
        State::Completed => 4,
        State::Dead => 5,
        State::Cancelled => 6,
        // Never stored: this version does not know the state.
        _ => -1,
    }
}

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
    fn each_state_has_its_own_number() {
        for &known in State::ALL {
            assert_eq!(state(number(known)).unwrap(), known);
        }
        assert!(state(7).is_err());
    }
}
