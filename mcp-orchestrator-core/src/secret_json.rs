//! JSON of secrets, encoded and decoded without leaving copies in memory.

use std::io::{self, Write};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes a value that holds secrets, for use as a record's value.
///
/// # Errors
/// If the value cannot be represented in JSON.
pub(crate) fn to_secret(value: &impl Serialize) -> serde_json::Result<SecretString> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value)?;
    // The buffer has its final capacity, so it never grows and leaves no copy in a smaller allocation.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *bytes, value)?;
    let text = String::from_utf8(std::mem::take(&mut *bytes));
    let text = text.map_err(|_| serde::ser::Error::custom("it is no text"))?;
    Ok(text.into())
}

/// Decodes JSON that holds secrets.
///
/// # Errors
/// The position of the error only: a message of serde may quote a part of a secret.
pub(crate) fn from_secret<T: DeserializeOwned>(json: &SecretString) -> Result<T, Broken> {
    let read = serde_json::from_str(json.expose_secret());
    read.map_err(|error| Broken {
        line: error.line(),
        column: error.column(),
    })
}

/// The position of an error in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}")]
pub(crate) struct Broken {
    line: usize,
    column: usize,
}

/// A writer that only counts bytes.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A secret string inside JSON, for types that derive their encoding.
#[derive(Clone)]
pub(crate) struct SecretText(pub(crate) SecretString);

impl Serialize for SecretText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl<'de> serde::Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Visitor).map(Self)
    }
}

struct Visitor;

impl serde::de::Visitor<'_> for Visitor {
    type Value = SecretString;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<SecretString, E> {
        Ok(SecretString::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_text_round_trips_through_json() {
        let value = SecretText("a \"quoted\" \u{7f} ü".to_owned().into());
        let json = to_secret(&value).unwrap();
        assert_eq!(json.expose_secret(), "\"a \\\"quoted\\\" \u{7f} ü\"");
        let again: SecretText = from_secret(&json).unwrap();
        assert_eq!(again.0.expose_secret(), value.0.expose_secret());
    }

    #[test]
    fn invalid_secret_text_is_rejected_without_revealing_it() {
        for wrong in ["40404", "-40404", "40404.5", "[\"40404\"]", "\"40404"] {
            let broken = from_secret::<SecretText>(&wrong.into()).err().unwrap();
            assert!(
                !format!("{broken} {broken:?}").contains("40404"),
                "{broken}"
            );
        }
    }
}
