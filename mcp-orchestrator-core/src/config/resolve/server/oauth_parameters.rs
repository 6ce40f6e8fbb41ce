//! Additional parameters for an issuer, and the redirect URI.

use std::collections::BTreeMap;

use secrecy::SecretString;

use crate::config::resolve::check;
use crate::config::resolve::scope::Scope;
use crate::config::schema::oauth::OAuthEntry;
use crate::config::schema::value::Typed;
use crate::value::Text;

/// Parameters that only the gateway may set, because it verifies the response against them.
const OWN_OF_PAGE: [&str; 7] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "redirect_uri",
    "resource",
    "response_type",
    "state",
];
const OWN_OF_TOKENS: [&str; 9] = [
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "grant_type",
    "redirect_uri",
    "refresh_token",
    "resource",
    "scope",
];

/// Returns the additional parameters of the authorization endpoint.
pub(crate) fn of_page(scope: &mut Scope<'_>, typed: &OAuthEntry) -> Vec<(String, String)> {
    let typed = typed.authorization_parameters.as_ref();
    let all = read(scope, "authorization_parameters", typed, &OWN_OF_PAGE);
    all.into_iter()
        .map(|(name, value)| (name, value.expose().to_owned()))
        .collect()
}

/// Returns the additional parameters of token requests, which may be secret.
pub(crate) fn of_tokens(scope: &mut Scope<'_>, typed: &OAuthEntry) -> Vec<(String, SecretString)> {
    let typed = typed.token_parameters.as_ref();
    let all = read(scope, "token_parameters", typed, &OWN_OF_TOKENS);
    all.into_iter()
        .map(|(name, value)| (name, SecretString::from(value.expose())))
        .collect()
}

fn read(
    scope: &mut Scope<'_>,
    key: &str,
    typed: Option<&BTreeMap<String, Typed>>,
    own: &[&str],
) -> Vec<(String, Text)> {
    let mut all = Vec::new();
    for (name, typed) in typed.into_iter().flatten() {
        let path = scope.path.key(key).key(name);
        if own.contains(&name.as_str()) {
            let instead = match name.as_str() {
                "client_id" | "client_secret" | "redirect_uri" | "resource" => {
                    format!("use the key `{name}` instead")
                }
                "scope" => "use the key `scopes` instead".to_owned(),
                _ => "this parameter is set by the gateway".to_owned(),
            };
            scope.problem_at(&path, instead);
            continue;
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            scope.problem_at(&path, "a parameter name must be one ASCII word");
            continue;
        }
        if let Some(text) = scope.text(&path, typed, None) {
            all.push((name.clone(), text));
        }
    }
    all
}

/// Resolves the URI that the issuer redirects browsers to.
pub(crate) fn redirect_uri(scope: &mut Scope<'_>, typed: Option<&Typed>) -> Option<String> {
    let text = scope.plain("redirect_uri", typed)?;
    let path = scope.path.key("redirect_uri");
    let uri = scope.check(&path, check::url(&text))?;
    let local = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if uri.scheme_str() == Some("http") && !local {
        scope.problem(
            "redirect_uri",
            "a code comes back by it, so it is https, or a port of the person's own machine",
        );
        return None;
    }
    if uri.scheme_str() == Some("https") && local {
        scope.problem(
            "redirect_uri",
            "on the person's own machine it is http://localhost:PORT/PATH",
        );
        return None;
    }
    Some(text.trim().to_owned())
}
