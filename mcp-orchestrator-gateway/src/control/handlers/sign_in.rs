//! Request handlers for installing by sign-in from a program on the user's machine: the browser returns to a port of
//! that machine, and the program forwards the query to this endpoint.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Router};
use http::Uri;
use mcp_orchestrator_core::credential::{AuthorizationAnswer, InstallationKey};
use mcp_orchestrator_core::id::SlotName;
use mcp_orchestrator_core::installer::Actor;
use secrecy::ExposeSecret as _;

use super::answer::{Answer, id, invalid, ok, read};
use crate::control::Control;
use crate::control::wire::credentials::{InstallationText, SecretText};
use crate::control::wire::sign_in::{FinishRequest, SignInBegun, SignInRequest};

pub(crate) fn router() -> Router<Control> {
    Router::new()
        .route("/v1/sign-ins", post(begin))
        .route("/v1/sign-ins/finish", post(finish))
}

async fn begin(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Answer {
    let request: SignInRequest = read(&body)?;
    if !is_loopback(&request.redirect_uri) {
        let text = "the browser comes back to an address as http://127.0.0.1:PORT/PATH";
        return Err(invalid(&text).into());
    }
    let key = InstallationKey {
        server: id(&request.server)?,
        owner: actor.owner(&request.owner)?,
    };
    let mut values = BTreeMap::new();
    for (slot, SecretText(value)) in request.values {
        let slot = SlotName::new(&slot).map_err(|error| invalid(&error))?;
        values.insert(slot, value);
    }
    control.sign_ins.take(actor.principal.id.clone())?;
    let installer = control.built.installer();
    let begun = installer.begin_sign_in(&actor, &key, values, &request.redirect_uri);
    let begun = begun.await?;
    ok(&SignInBegun {
        url: begun.url,
        state: SecretText(begun.state.into()),
    })
}

async fn finish(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Answer {
    let request: FinishRequest = read(&body)?;
    let answer = AuthorizationAnswer {
        code: request.code.map(|SecretText(code)| code),
        issuer: request.iss,
        error: request.error,
    };
    let SecretText(state) = request.state;
    let installer = control.built.installer();
    let installed = installer.finish_sign_in(&actor, state.expose_secret(), answer, None);
    let installed = installed.await?;
    let owner = installed.key.owner.clone();
    ok(&InstallationText {
        warnings: control.warnings_of_owner(&owner),
        ..InstallationText::from(installed)
    })
}

/// Returns `true` for a loopback address, which is on the user's machine (RFC 8252). Any other redirect URI must be one
/// of the gateway's pages.
fn is_loopback(redirect_uri: &str) -> bool {
    let Ok(uri) = redirect_uri.parse::<Uri>() else {
        return false;
    };
    let host = matches!(uri.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let user = uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'));
    uri.scheme_str() == Some("http") && host && !user
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_in_from_the_command_line_redirects_to_the_users_machine() {
        for (uri, expected) in [
            ("http://127.0.0.1:4711/callback", true),
            ("http://[::1]:4711/", true),
            ("http://localhost:1/x", true),
            ("https://127.0.0.1/x", false),
            ("http://127.0.0.1.evil.example/x", false),
            ("http://evil.example/x", false),
            ("http://127.0.0.1@evil.example/x", false),
            ("http://x@127.0.0.1/x", false),
            ("/x", false),
        ] {
            assert_eq!(is_loopback(uri), expected, "{uri}");
        }
    }
}
