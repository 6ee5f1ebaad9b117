//! The JSON text of a job, kept byte for byte.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_content::{Data, Number, Serializer, Value};
use serde_json::value::RawValue;

use crate::error::DECODE_PAYLOAD;
use crate::limits::MAX_JSON_DEPTH;
use crate::{Error, Result};

/// Checked JSON text: valid, and nested at most [`MAX_JSON_DEPTH`] deep.
///
/// White space, the order of keys and the text of numbers are not changed. A submission checks the
/// size against [`Limits::payload_bytes`](crate::Limits::payload_bytes). `Debug` shows only the
/// size, so that payloads do not get into logs.
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
    /// Creates a payload from JSON text, which is not changed.
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

    /// Creates a payload from JSON bytes, which are not changed.
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
    /// ```
    /// use queue_core::{ErrorKind, Payload};
    ///
    /// assert_eq!(Payload::encode(&Some(0.5))?.as_str(), "0.5");
    /// assert_eq!(Payload::encode(&Some(f64::NAN)).unwrap_err().kind(), ErrorKind::Invalid);
    /// # Ok::<(), queue_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the value cannot be serialised, is nested too
    /// deep, or contains a number that is NaN or infinite. JSON cannot hold such a number.
    pub fn encode<P: Serialize + ?Sized>(value: &P) -> Result<Self> {
        let text = to_json("write a payload", value)?;
        check_depth(&text)?;
        Ok(Self(text.into()))
    }

    /// Creates a payload from a text that a backend stored earlier. It is not checked again.
    #[must_use]
    pub fn from_stored(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Decodes the value.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the payload does not decode as `P`.
    pub fn decode<P: DeserializeOwned>(&self) -> Result<P> {
        let mut reader = serde_json::Deserializer::from_str(&self.0);
        // Because `MAX_JSON_DEPTH`, which was checked, is one more than the limit of `serde_json`.
        reader.disable_recursion_limit();
        P::deserialize(&mut reader)
            .and_then(|value| reader.end().map(|()| value))
            .map_err(|error| Error::invalid(DECODE_PAYLOAD, error.to_string()).with_source(error))
    }

    /// Returns the JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the JSON text as bytes.
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

/// Writes a value as JSON.
///
/// # Errors
/// [`Invalid`](crate::ErrorKind::Invalid) if the value cannot be serialised, or contains a number
/// that is NaN or infinite.
pub(crate) fn to_json<T: Serialize + ?Sized>(operation: &'static str, value: &T) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|error| {
        Error::invalid(operation, format!("the value cannot be serialised: {error}")).with_source(error)
    })?;
    // `serde_json` writes NaN and infinity as `null`, which an `Option` reads as `None`. Only a
    // text with `null` is checked, because the check takes as long as the writing: 15 µs for 150
    // structs in 10 KiB.
    if text.contains("null") {
        let value = Serializer::new().human_readable().serialize(value).map_err(|error| {
            Error::invalid(operation, "the value cannot be checked for NaN and infinity").with_source(error)
        })?;
        if !is_finite(&value) {
            let fault = "the value contains a number that is NaN or infinite, which JSON cannot hold";
            return Err(Error::invalid(operation, fault));
        }
    }
    Ok(text)
}

/// Returns whether all numbers in a value are finite.
fn is_finite(value: &Value<'_>) -> bool {
    match value {
        Value::Number(Number::F32(number)) => number.is_finite(),
        Value::Number(Number::F64(number)) => number.is_finite(),
        Value::Seq(values) | Value::Tuple(values) => values.iter().all(is_finite),
        Value::Map(entries) => entries.iter().all(|(key, value)| is_finite(key) && is_finite(value)),
        Value::Option(value) => value.as_deref().is_none_or(is_finite),
        Value::Struct(value) => has_finite_fields(&value.data),
        Value::Enum(value) => has_finite_fields(&value.data),
        Value::Unit
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Char(_)
        | Value::String(_)
        | Value::Bytes(_) => true,
    }
}

fn has_finite_fields(data: &Data<'_>) -> bool {
    match data {
        Data::Unit => true,
        Data::NewType { value } => is_finite(value),
        Data::Tuple { values } => values.iter().all(is_finite),
        Data::Struct { fields } => fields.iter().all(|(_, value)| is_finite(value)),
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
    fn depth_is_limited_except_in_strings() {
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
    fn value_without_a_json_form_is_refused() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert!(Payload::encode(&map).unwrap_err().to_string().contains("cannot be serialised"));
    }

    #[derive(Serialize)]
    enum Shape {
        Newtype(f64),
        Tuple(u8, f64),
        Struct { side: f32 },
    }

    #[derive(Serialize)]
    struct Wrapped(f64);

    #[derive(Serialize)]
    struct Pair(u8, f64);

    #[derive(Serialize)]
    struct Flattened {
        #[serde(flatten)]
        rest: std::collections::BTreeMap<String, f64>,
    }

    #[track_caller]
    fn assert_not_finite(value: &impl Serialize) {
        let error = Payload::encode(value).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Invalid, "{error}");
        assert!(error.message().contains("NaN or infinite"), "{error}");
    }

    #[test]
    fn nan_and_infinity_are_refused_anywhere() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_not_finite(&number);
            assert_not_finite(&Some(number));
            assert_not_finite(&[1.0, number]);
            assert_not_finite(&vec![None, Some(number)]);
            assert_not_finite(&(1, number));
            assert_not_finite(&Wrapped(number));
            assert_not_finite(&Pair(1, number));
            assert_not_finite(&Shape::Newtype(number));
            assert_not_finite(&Shape::Tuple(1, number));
            let map = std::collections::BTreeMap::from([("a".to_owned(), number)]);
            assert_not_finite(&Flattened { rest: map.clone() });
            assert_not_finite(&map);
        }
        assert_not_finite(&Shape::Struct { side: f32::NAN });
    }

    #[test]
    fn null_and_finite_numbers_are_accepted() {
        assert_eq!(
            Payload::encode(&(None::<f64>, (), 1.5, "null")).unwrap().as_str(),
            r#"[null,null,1.5,"null"]"#
        );
        let value = serde_json::json!({ "a": null, "b": [1.5, 1e300], "c": "NaN" });
        assert_eq!(Payload::encode(&value).unwrap().decode::<serde_json::Value>().unwrap(), value);
        let raw = serde_json::value::to_raw_value(&value).unwrap();
        assert_eq!(Payload::encode(&raw).unwrap().as_str(), raw.get());
    }

    #[test]
    fn debug_hides_the_content() {
        let payload = Payload::json("\"secret\"").unwrap();
        assert_eq!(format!("{payload:?}"), "Payload(8 bytes)");
    }
}
