//! Encodes ids and states in events.

/// Encodes ids of claims and workers as hexadecimal digits.
pub(super) mod hex {
    use queue_core::{ClaimId, WorkerId};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(in super::super) trait Bytes: Copy {
        fn bytes(self) -> [u8; 16];
        fn of(bytes: [u8; 16]) -> Self;
    }

    macro_rules! bytes {
        ($($name:ident),+) => {$(
            impl Bytes for $name {
                fn bytes(self) -> [u8; 16] {
                    self.to_bytes()
                }

                fn of(bytes: [u8; 16]) -> Self {
                    Self::from_bytes(bytes)
                }
            }
        )+};
    }
    bytes!(ClaimId, WorkerId);

    pub(in super::super) fn serialize<T: Bytes, S: Serializer>(
        id: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", u128::from_be_bytes(id.bytes())))
    }

    pub(in super::super) fn deserialize<'de, T: Bytes, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let number = u128::from_str_radix(&digits, 16).map_err(de::Error::custom)?;
        Ok(T::of(number.to_be_bytes()))
    }
}

/// Encodes states by name.
pub(super) mod state {
    use queue_core::JobState;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(in super::super) fn serialize<S: Serializer>(
        state: &JobState,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(state.as_str())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<JobState, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = JobState::ALL.iter().copied().find(|state| state.as_str() == name);
        known.ok_or_else(|| de::Error::custom(format!("there is no state `{name}`")))
    }
}
