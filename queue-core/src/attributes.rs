//! Data that is stored with a job beside its payload.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::MAX_ATTRIBUTES_BYTES;
use crate::{Error, Payload, Result};

/// The attributes of a job: a JSON object, kept byte for byte, at most [`MAX_ATTRIBUTES_BYTES`]
/// long.
///
/// They are for data that no query needs: tags, trace context, the codec of the payload, the name
/// of the enqueuer. A new attribute needs no migration, because no storage reads attributes.
/// `Debug` shows only the size.
///
/// ```
/// use std::collections::BTreeMap;
/// use queue_core::Attributes;
///
/// let attributes = Attributes::json(r#"{ "traceparent": "00-0af7", "tags": ["nightly"] }"#)?;
/// assert_eq!(attributes.as_str(), r#"{ "traceparent": "00-0af7", "tags": ["nightly"] }"#);
/// let tenant = Attributes::encode(&BTreeMap::from([("tenant", "a")]))?;
/// assert_eq!(tenant.decode::<BTreeMap<String, String>>()?["tenant"], "a");
/// assert!(Attributes::json("[]").is_err());
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Attributes(Payload);

impl Attributes {
    /// Creates attributes from the JSON text of an object, which is not changed.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if it is not a JSON object, too long, or nested too
    /// deep.
    pub fn json(text: impl Into<Box<str>>) -> Result<Self> {
        Self::checked(Payload::json(text))
    }

    /// Writes a map or a struct as JSON.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the value is not written as an object, and those
    /// of [`json`](Self::json).
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        Self::checked(Payload::encode(value))
    }

    fn checked(json: Result<Payload>) -> Result<Self> {
        let invalid = |fault: String| Error::invalid("read attributes", fault);
        let json = json.map_err(|error| invalid(error.message().to_owned()).with_source(error))?;
        if !json.as_str().trim_start().starts_with('{') {
            return Err(invalid("they are not a JSON object".to_owned()));
        }
        let bytes = json.as_bytes().len();
        if bytes > MAX_ATTRIBUTES_BYTES {
            return Err(invalid(format!("they are {bytes} bytes, the limit is {MAX_ATTRIBUTES_BYTES}")));
        }
        Ok(Self(json))
    }

    /// Creates attributes from a text that a backend stored earlier. It is not checked again.
    #[must_use]
    pub fn from_stored(text: impl Into<Box<str>>) -> Self {
        Self(Payload::from_stored(text))
    }

    /// Decodes the whole object.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the object does not decode as `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.0
            .decode()
            .map_err(|error| Error::invalid("read attributes", error.message().to_owned()).with_source(error))
    }

    /// Returns the JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attributes({} bytes)", self.0.as_bytes().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_json_and_large_objects_are_refused() {
        for text in ["", "null", "[]", "\"{}\"", "{", "{}{}"] {
            assert!(Attributes::json(text).is_err(), "{text:?}");
        }
        assert_eq!(Attributes::json(" {} ").unwrap().as_str(), " {} ");
        let of_bytes = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert!(Attributes::json(of_bytes(MAX_ATTRIBUTES_BYTES)).is_ok());
        let error = Attributes::json(of_bytes(MAX_ATTRIBUTES_BYTES + 1)).unwrap_err();
        assert!(error.to_string().contains("they are 16385 bytes, the limit is 16384"), "{error}");
    }
}
