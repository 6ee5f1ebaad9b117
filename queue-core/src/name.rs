//! Checked names of kinds, queues and schedules.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use crate::limits::MAX_NAME_BYTES;
use crate::{Error, Result};

pub(crate) fn check(operation: &'static str, name: &str) -> Result<()> {
    let fault = if name.is_empty() {
        "the name is empty".to_owned()
    } else if name.len() > MAX_NAME_BYTES {
        let start: String = name.chars().take(32).collect();
        format!("`{start}…` is {} bytes long, the limit is {MAX_NAME_BYTES}", name.len())
    } else if let Some(bad) = name.chars().find(|c| c.is_control() || c.is_whitespace()) {
        format!(
            "`{}` holds the character {bad:?}; white space and control characters are not allowed",
            name.escape_debug()
        )
    } else {
        return Ok(());
    };
    Err(Error::invalid(operation, fault))
}

macro_rules! checked_name {
    ($name:ident, $operation:literal) => {
        impl $name {
            /// Creates a name: 1 to [`MAX_NAME_BYTES`] bytes, no white space, no control
            /// characters.
            ///
            /// # Errors
            /// [`Invalid`](crate::ErrorKind::Invalid), which states the name and the cause.
            pub fn new(name: impl AsRef<str>) -> Result<Self> {
                let name = name.as_ref();
                check($operation, name)?;
                Ok(Self(Arc::from(name)))
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self> {
                Self::new(name)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

/// The name that selects a job's handler, e.g. `send-email`. It must not change when code is
/// renamed.
///
/// ```
/// use queue_core::Kind;
///
/// assert_eq!(Kind::new("send-email")?.as_str(), "send-email");
/// assert!(Kind::new("send email").is_err());
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(Arc<str>);

checked_name!(Kind, "read a kind");

/// The name of a queue, which workers serve (default: `default`).
///
/// ```
/// use queue_core::QueueName;
///
/// assert_eq!(QueueName::default().as_str(), "default");
/// assert!(QueueName::new("").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(Arc<str>);

checked_name!(QueueName, "read a queue name");

impl Default for QueueName {
    fn default() -> Self {
        static DEFAULT: LazyLock<QueueName> = LazyLock::new(|| QueueName(Arc::from("default")));
        DEFAULT.clone()
    }
}

/// The name of a schedule, e.g. `nightly-cleanup`.
///
/// ```
/// use queue_core::ScheduleName;
///
/// assert_eq!(ScheduleName::new("nightly-cleanup")?.as_str(), "nightly-cleanup");
/// assert!(ScheduleName::new("nightly cleanup").is_err());
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleName(Arc<str>);

checked_name!(ScheduleName, "read the name of a schedule");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_a_name_has_a_message() {
        let faults: [(String, &str); 4] = [
            (String::new(), "empty"),
            ("x".repeat(MAX_NAME_BYTES + 1), "129 bytes long"),
            ("a b".into(), "white space"),
            ("a\0b".into(), "'\\0'"),
        ];
        for (name, fault) in faults {
            let error = Kind::new(&name).unwrap_err().to_string();
            assert!(error.contains(fault), "{error}");
        }
        assert!(QueueName::new("é".repeat(MAX_NAME_BYTES / 2)).is_ok());
    }
}
