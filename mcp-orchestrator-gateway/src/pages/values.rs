//! The values that a visitor submitted for a server's slots.

use std::collections::BTreeMap;

use mcp_orchestrator_core::id::SlotName;
use mcp_orchestrator_core::server::{OAuthGrant, ServerSpec};
use secrecy::{ExposeSecret as _, SecretString};

/// Shorter values are not masked in displayed text.
const MIN_MASKED_LEN: usize = 4;

/// Submitted values, by slot.
pub(super) type Values = BTreeMap<SlotName, SecretString>;

/// Returns `true` if the server is set up by signing in instead of entering a token.
pub(super) fn signs_in(server: &ServerSpec) -> bool {
    let oauth = server.oauth.as_ref();
    oauth.is_some_and(|oauth| oauth.grant == OAuthGrant::AuthorizationCode)
}

/// Masks the submitted values in a text that is displayed.
pub(super) fn mask(values: &Values, text: String) -> String {
    let given = values.values().map(|value| value.expose_secret().trim());
    let long = given.filter(|value| value.len() >= MIN_MASKED_LEN);
    long.fold(text, |text, value| text.replace(value, "[hidden]"))
}
