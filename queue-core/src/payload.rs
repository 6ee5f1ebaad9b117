//! The JSON text of a job, byte for byte as it was given.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::limits::MAX_JSON_DEPTH;
use crate::{Error, Result};

/// Checked JSON text: valid, and at most [`MAX_JSON_DEPTH`] deep.
///
/// White space, the order of keys and the text of numbers stay as they are. Its size is checked
/// when it is submitted, against [`Limits::payload_bytes`](crate::Limits::payload_bytes).
/// `Debug` shows the size only: payloads are not for logs.
///
/// ```
/// use queue_core::Payload;
///
/// let payload = Payload::json(r#"{ "b": 1e400, "a": "\ud800" }"#)?;
/// assert_eq!(payload.as_str(), r#"{ "b": 1e400, "a": "\ud800" }"#);
/// assert_eq!(Payload::encode(&("to", 3))?.decode::<(String, u8)>()?, ("to".to_owned(), 3));
/// assert!(Payload::json("{").is_err());
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Payload(Box<str>);

impl Payload {
    /// Takes JSON text as it is.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if it is not JSON or nested too deep.
    pub fn json(text: impl Into<Box<str>>) -> Result<Self> {
        let text = text.into();
        if let Err(error) = serde_json::from_str::<&RawValue>(&text) {
            return Err(Error::invalid("read a payload", format!("it is not JSON: {error}")));
        }
        check_depth(&text)?;
        Ok(Self(text))
    }

    /// Takes JSON bytes as they are.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if they are not UTF-8, not JSON, or nested too deep.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let text = String::from_utf8(bytes.into()).map_err(|error| {
            Error::invalid("read a payload", "it is not UTF-8").with_source(error.utf8_error())
        })?;
        Self::json(text)
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if it cannot be serialised or is nested too deep.
    pub fn encode<P: Serialize + ?Sized>(value: &P) -> Result<Self> {
        let text = serde_json::to_string(value).map_err(|error| {
            Error::invalid("write a payload", format!("the value cannot be serialised: {error}"))
                .with_source(error)
        })?;
        check_depth(&text)?;
        Ok(Self(text.into()))
    }

    /// Takes text that a backend stored from a `Payload` before, without checking it again.
    #[must_use]
    pub fn from_stored(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Reads the value.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the payload has another shape.
    pub fn decode<P: DeserializeOwned>(&self) -> Result<P> {
        let mut reader = serde_json::Deserializer::from_str(&self.0);
        // The depth was checked, and is one more than serde_json permits by itself.
        reader.disable_recursion_limit();
        P::deserialize(&mut reader)
            .and_then(|value| reader.end().map(|()| value))
            .map_err(|error| Error::invalid("read a payload", error.to_string()).with_source(error))
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The JSON text as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

fn check_depth(json: &str) -> Result<()> {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    if deepest > MAX_JSON_DEPTH {
        let fault = format!("it is nested {deepest} deep, the limit is {MAX_JSON_DEPTH}");
        return Err(Error::invalid("read a payload", fault));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn depth_is_bounded_and_brackets_in_strings_do_not_count() {
        assert!(Payload::json(nested(MAX_JSON_DEPTH)).unwrap().decode::<serde_json::Value>().is_ok());
        assert!(Payload::json(nested(MAX_JSON_DEPTH + 1)).is_err());
        assert!(Payload::json(nested(1_000_000)).is_err());
        let text = format!("\"{}\\\"{}\"", "[".repeat(500), "{".repeat(500));
        assert!(Payload::json(text).is_ok());
    }

    #[test]
    fn text_that_is_not_one_value_is_refused() {
        for text in ["", " ", "{", "1 2", "nul", "\"\u{1}\"", "{\"a\":}"] {
            assert!(Payload::json(text).is_err(), "{text:?}");
        }
        assert!(Payload::from_bytes(vec![b'"', 0xff, b'"']).is_err());
    }

    #[test]
    fn values_that_have_no_json_form_are_refused() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert!(Payload::encode(&map).unwrap_err().to_string().contains("cannot be serialised"));
    }

    #[test]
    fn debug_hides_the_content() {
        let payload = Payload::json("\"secret\"").unwrap();
        assert_eq!(format!("{payload:?}"), "Payload(8 bytes)");
    }
}
