//! The Secrets of an instance: one with all secret values of its server, and one with registry credentials if any are
//! configured. No other object contains any of them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::Rendering;
use crate::runtime::kubernetes::names;
use crate::server::PullSecret;

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
