//! Text that may be secret, told by its type.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A configured text: plain, or secret because of where it came from.
#[derive(Clone)]
pub enum Text {
    /// May be shown.
    Plain(String),
    /// Is shown nowhere.
    Secret(SecretString),
}

impl Text {
    /// A secret of this text.
    pub fn secret(text: impl Into<String>) -> Self {
        Self::Secret(SecretString::from(text.into()))
    }

    /// The text, for the one line that uses it.
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose_secret(),
        }
    }

    /// Whether it must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => fmt::Debug::fmt(text, f),
            Self::Secret(_) => f.write_str("[secret]"),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(text) => text,
            Self::Secret(_) => "[secret]",
        })
    }
}
