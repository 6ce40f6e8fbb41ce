//! The Secrets of an instance: one with all secret values of its server, and one with registry credentials if any are
//! configured. No other object contains any of them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{Failed, Rendering};
use crate::credential::Credential;
use crate::runtime::kubernetes::names;
use crate::seal::StateKey;
use crate::server::{Injection, PullSecret, ServerSpec};
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
pub(in crate::runtime::kubernetes) struct Values(BTreeMap<String, String>);

impl Values {
    /// Collects the secret values of a server with this credential.
    pub(in crate::runtime::kubernetes) fn new(
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
                let text = super::with_port(secret.expose_secret(), port);
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

/// Renders the Secret; `None` if there are no secret values.
pub(super) fn secret(of: &Rendering<'_>) -> Option<Value> {
    if of.values.is_empty() {
        return None;
    }
    let encoded = of
        .values
        .0
        .iter()
        .map(|(key, value)| (key, STANDARD.encode(value)));
    let data: BTreeMap<_, _> = encoded.collect();
    Some(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": of.metadata(of.key.name()),
        "data": data,
    }))
}

/// Renders the image pull Secret, if registry credentials are configured.
pub(super) fn pull(of: &Rendering<'_>) -> Option<Value> {
    let mut auths = serde_json::Map::new();
    for secret in &of.program.container.pull_secrets {
        if let PullSecret::Registry {
            server,
            username,
            password,
        } = secret
        {
            let password = password.expose_secret();
            let auth = STANDARD.encode(format!("{username}:{password}"));
            let entry = json!({ "username": username, "password": password, "auth": auth });
            auths.insert(server.clone(), entry);
        }
    }
    if auths.is_empty() {
        return None;
    }
    let config = json!({ "auths": auths }).to_string();
    Some(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": of.metadata(&names::pull_secret(of.key)),
        "data": { ".dockerconfigjson": STANDARD.encode(config) },
    }))
}
