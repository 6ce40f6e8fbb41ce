//! The secret values of an instance, as entries of its Secret.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;

use super::error::Failed;
use crate::credential::Credential;
use crate::seal::StateKey;
use crate::server::{Injection, ServerSpec};
use crate::value::Text;

/// The mount path of file slots.
pub(super) const FILES: &str = "/var/run/mcp-orchestrator/secrets";

/// Identifies an entry of the Secret.
pub(super) enum Entry<'a> {
    /// The environment variable of this name.
    Env(&'a str),
    /// The argument at this index.
    Arg(usize),
    /// The file of this name.
    File(&'a str),
}

impl Entry<'_> {
    /// Returns the key in the Secret's data. Keys may contain only letters, digits, `-`, `_` and `.`; other bytes,
    /// and `-` itself, are escaped as `-` and two hex digits.
    pub(super) fn key(&self) -> String {
        let plain = |text: &str| -> String {
            text.bytes().fold(String::new(), |mut key, byte| {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' => key.push(byte.into()),
                    other => key.push_str(&format!("-{other:02x}")),
                }
                key
            })
        };
        match self {
            Self::Env(name) => format!("env-{}", plain(name)),
            Self::Arg(place) => format!("arg-{place}"),
            Self::File(name) => format!("file-{}", plain(name)),
        }
    }
}

/// Returns the environment variable that passes a secret argument.
pub(super) fn argument_name(place: usize) -> String {
    format!("MCP_ORCHESTRATOR_ARG_{place}")
}

/// The secret values by key.
pub(crate) struct Values(pub(super) BTreeMap<String, String>);

impl Values {
    /// Collects the secret values of a server with this credential.
    pub(crate) fn new(
        server: &ServerSpec,
        credential: &Credential,
        args: &[Text],
        port: Option<u16>,
    ) -> Result<Self, Failed> {
        let mut values = BTreeMap::new();
        for (name, text) in server.env.iter().filter(|(_, text)| text.is_secret()) {
            values.insert(Entry::Env(name).key(), text.expose().to_owned());
        }
        for slot in &server.slots {
            let Some(value) = credential.values.get(&slot.name) else {
                if slot.required {
                    return Err(Failed::NoValue(slot.name.clone()));
                }
                continue;
            };
            let key = match &slot.inject {
                Injection::Env(name) => Entry::Env(name).key(),
                Injection::File { name, .. } => {
                    let plain = !name.is_empty() && name != "." && !name.starts_with("..");
                    if !plain || name.contains('/') {
                        return Err(Failed::FileName(slot.name.clone(), name.clone()));
                    }
                    Entry::File(name).key()
                }
                Injection::Header { .. } => continue,
            };
            values.insert(key, value.expose_secret().to_owned());
        }
        for (place, text) in args.iter().enumerate() {
            if let Text::Secret(secret) = text {
                let text = with_port(secret.expose_secret(), port);
                values.insert(Entry::Arg(place).key(), text);
            }
        }
        Ok(Self(values))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a keyed hash of all values.
    pub(super) fn digest(&self, key: &StateKey) -> String {
        let parts = self
            .0
            .iter()
            .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        key.digest("kubernetes secret", parts).hex(8)
    }
}

/// Substitutes `${PORT}`.
pub(super) fn with_port(text: &str, port: Option<u16>) -> String {
    match port {
        Some(port) => text.replace("${PORT}", &port.to_string()),
        None => text.to_owned(),
    }
}
