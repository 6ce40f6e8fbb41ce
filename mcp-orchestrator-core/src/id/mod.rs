//! Validated names of servers, gateways, principals, teams, sessions and others.
//!
//! Each is an `Arc<str>` in its own type, so that a name is cheap to clone and cannot be used in place of another.

mod owner;

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

pub use self::owner::{InvalidOwner, Owner, OwnerKind};
use crate::limits::MAX_SESSION_ID_LEN;

/// Why a text is not a valid name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {noun}: {reason}")]
pub struct InvalidId {
    noun: &'static str,
    text: String,
    reason: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Validates the text and creates a name.
            ///
            /// # Errors
            /// [`InvalidId`], which states the rule that the text violates.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                match $check(text) {
                    Ok(()) => Ok(Self(text.into())),
                    Err(reason) => Err(InvalidId { noun: $noun, text: text.chars().take(80).collect(), reason }),
                }
            }

            /// Returns the name as text.
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
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// A server of the catalog: a DNS label, since it becomes part of object names.
    ServerId, "server name", dns_label
}
id! {
    /// A gateway (profile): a DNS label, since it is part of the path `/mcp/{gateway}`.
    GatewayId, "gateway name", dns_label
}
id! {
    /// A runtime backend: a DNS label, such as `process` or `kubernetes`.
    BackendName, "backend name", dns_label
}
id! {
    /// The name of a server in a gateway, which is the prefix of its tools: a DNS label.
    Alias, "alias", dns_label
}
id! {
    /// A principal: 1 to 255 bytes, without whitespace and control characters.
    PrincipalId, "principal", visible
}
id! {
    /// A team: 1 to 200 bytes, without whitespace and control characters.
    TeamId, "team", visible_short
}
id! {
    /// A legacy MCP session: visible ASCII, as the protocol requires.
    SessionId, "session id", visible_ascii
}
id! {
    /// A credential slot of a server: letters, digits, `_`, `-` and `.`.
    SlotName, "slot name", slot_name
}

id! {
    /// The name of a stored record: 1 to 600 bytes, without whitespace and control characters. It is not secret.
    RecordName, "record name", record_name
}

impl GatewayId {
    /// The name that no configured gateway may have: `/mcp/server-card` is the server card of the default gateway.
    pub const RESERVED: &'static str = "server-card";

    /// Returns the gateway at `/mcp`.
    pub fn default_gateway() -> Self {
        Self("default".into())
    }
}

impl From<&ServerId> for Alias {
    fn from(server: &ServerId) -> Self {
        Self(Arc::clone(&server.0))
    }
}

fn dns_label(text: &str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > 63 {
        return Err("it must have 1 to 63 characters");
    }
    if !bytes
        .iter()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    {
        return Err("it may only contain lower-case letters, digits and '-'");
    }
    if bytes[0] == b'-' || bytes[bytes.len() - 1] == b'-' {
        return Err("it must begin and end with a letter or digit");
    }
    Ok(())
}

fn visible(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 255 {
        return Err("it must have 1 to 255 bytes");
    }
    only_visible(text)
}

fn record_name(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 600 {
        return Err("it must have 1 to 600 bytes");
    }
    only_visible(text)
}

fn only_visible(text: &str) -> Result<(), &'static str> {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("it must not contain whitespace or control characters");
    }
    Ok(())
}

fn visible_short(text: &str) -> Result<(), &'static str> {
    visible(text)?;
    // Leaves space for the prefix that makes it a principal's name.
    if text.len() > 200 {
        return Err("it must have 1 to 200 bytes");
    }
    Ok(())
}

fn visible_ascii(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > MAX_SESSION_ID_LEN {
        return Err("it must have 1 to 1024 characters");
    }
    // Without an early exit, so that many bytes are compared at once.
    let visible = |ok, b| ok & (0x21..=0x7e).contains(&b);
    if !text.bytes().fold(true, visible) {
        return Err("it may only contain visible ASCII characters");
    }
    Ok(())
}

fn slot_name(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 128 {
        return Err("it must have 1 to 128 characters");
    }
    if !text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    {
        return Err("it may only contain letters, digits, '_', '-' and '.'");
    }
    Ok(())
}

/// Converts any text to a DNS label, for names from other programs' configuration files. Returns `None` if no
/// character can be kept.
pub fn to_dns_label(text: &str) -> Option<String> {
    let mut label = String::with_capacity(text.len());
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => label.push(c),
            _ if label.is_empty() || label.ends_with('-') => {}
            _ => label.push('-'),
        }
    }
    label.truncate(63);
    let label = label.trim_end_matches('-');
    (!label.is_empty()).then(|| label.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_name_is_a_dns_label() {
        assert!(ServerId::new("github").is_ok());
        assert!(ServerId::new("a").is_ok());
        for wrong in ["", "GitHub", "-a", "a-", "a_b", "a.b", &"x".repeat(64)] {
            assert!(ServerId::new(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn foreign_names_become_labels() {
        assert_eq!(to_dns_label("My Server_2").as_deref(), Some("my-server-2"));
        assert_eq!(to_dns_label("--x--").as_deref(), Some("x"));
        assert_eq!(to_dns_label("日本"), None);
    }
}
