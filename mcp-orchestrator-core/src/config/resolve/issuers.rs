//! Resolves issuers.

use secrecy::SecretString;

use crate::auth::{Algorithm, TeamNames};
use crate::config::resolve::check;
use crate::config::resolve::scope::Scope;
use crate::config::schema::auth::{AuthEntry, ClaimsEntry, IssuerEntry};
use crate::config::schema::value::Typed;
use crate::config::settings::auth::{IssuerSettings, SignInClient};
use crate::id::PrincipalId;

/// Resolves the issuers of a file, and checks them against each other.
pub(crate) fn issuers(scope: &mut Scope<'_>, entry: &AuthEntry) -> Vec<IssuerSettings> {
    let mut issuers: Vec<IssuerSettings> = Vec::new();
    let typed = entry.issuers.as_deref().unwrap_or_default();
    let is_only = typed.len() == 1;
    for (index, typed) in typed.iter().enumerate() {
        let path = scope.path.key("issuers").index(index);
        let scope = &mut scope.below(path);
        let Some(meant) = issuer(scope, typed, is_only) else {
            continue;
        };
        if issuers.iter().any(|known| known.issuer == meant.issuer) {
            scope.problem("issuer", "duplicate issuer");
        }
        issuers.push(meant);
    }
    if !cfg!(feature = "jwt") && !issuers.is_empty() {
        scope.problem(
            "issuers",
            "this program was built without the feature `jwt`",
        );
    }
    if typed.len() == issuers.len() {
        collisions(scope, &issuers);
    }
    issuers
}

/// Reports issuers that could name the same user: the prefix of one starts with that of another.
fn collisions(scope: &mut Scope<'_>, issuers: &[IssuerSettings]) {
    for (index, issuer) in issuers.iter().enumerate() {
        let clash = issuers
            .iter()
            .enumerate()
            .any(|(other, known)| other != index && issuer.prefix.starts_with(&known.prefix));
        if clash {
            let path = scope.path.key("issuers").index(index);
            scope.below(path).problem(
                "prefix",
                "several issuers need a `prefix` each, none the beginning of another: else a user of one could be \
                 taken for a user of another",
            );
        }
    }
}

fn issuer(scope: &mut Scope<'_>, typed: &IssuerEntry, is_only: bool) -> Option<IssuerSettings> {
    if typed.issuer.is_none() {
        if !scope.has_problem("") {
            scope.problem("", "`issuer` is missing, e.g. https://idp.example.com");
        }
        return None;
    }
    let issuer = address(scope, "issuer", typed.issuer.as_ref());
    let jwks_url = address(scope, "jwks_url", typed.jwks_url.as_ref());
    let claims = typed.claims.clone().unwrap_or_default();
    let (user_claim, teams_claim) = claim_names(scope, &claims);
    let prefix = scope.plain("prefix", typed.prefix.as_ref());
    let prefix = prefix.unwrap_or_default();
    if let Err(error) = PrincipalId::new(format!("{prefix}x")) {
        scope.problem("prefix", error.to_string());
    }
    let algorithms = match &typed.algorithms {
        None => Algorithm::ALL.to_vec(),
        Some(named) => named.iter().copied().map(Algorithm::from).collect(),
    };
    if algorithms.is_empty() && !scope.has_problem("algorithms") {
        scope.problem(
            "algorithms",
            "must not be empty: every token would be rejected",
        );
    }
    let audience = texts(scope, "audience", typed.audience.as_deref());
    if typed.audience.as_ref().is_some_and(Vec::is_empty) && !scope.has_problem("audience") {
        scope.problem(
            "audience",
            "must not be empty: every token would be rejected",
        );
    }
    Some(IssuerSettings {
        issuer: issuer?,
        audience,
        algorithms,
        jwks_url,
        user_claim,
        teams_claim,
        teams: team_names(scope, &claims, is_only),
        prefix,
        scopes: scopes(scope, typed.scopes.as_deref()),
        client: client(scope, typed),
    })
}

fn claim_names(scope: &mut Scope<'_>, claims: &ClaimsEntry) -> (String, Option<String>) {
    let path = scope.path.key("claims");
    let mut scope = scope.below(path);
    let user = scope.plain("user", claims.user.as_ref());
    let teams = scope.plain("teams", claims.teams.as_ref());
    (
        user.unwrap_or_else(|| IssuerSettings::USER_CLAIM.to_owned()),
        teams,
    )
}

/// Each of several issuers may name only its own teams, so that a token of one cannot make its user a member of
/// another's team.
fn team_names(scope: &mut Scope<'_>, claims: &ClaimsEntry, is_only: bool) -> TeamNames {
    if claims.team_names.is_none() && is_only {
        return TeamNames::Any;
    }
    let path = scope.path.key("claims");
    let mut scope = scope.below(path);
    TeamNames::Own(texts(
        &mut scope,
        "team_names",
        claims.team_names.as_deref(),
    ))
}

/// Resolves a URL of the issuer. Warns about plain HTTP, where an attacker on the path could impersonate any user.
fn address(scope: &mut Scope<'_>, key: &str, typed: Option<&Typed>) -> Option<String> {
    let text = scope.plain(key, typed)?;
    let path = scope.path.key(key);
    let uri = scope.check(&path, check::url(&text))?;
    if key == "issuer" && uri.query().is_some() {
        scope.problem(key, "must not have a query");
        return None;
    }
    let local = uri
        .host()
        .is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
    if uri.scheme_str() == Some("http") && !local {
        scope.notice(
            key,
            "not encrypted: anyone on the network path can forge tokens for any user",
        );
    }
    Some(text.trim().to_owned())
}

fn texts(scope: &mut Scope<'_>, key: &str, typed: Option<&[Typed]>) -> Vec<String> {
    let mut texts = Vec::new();
    for (index, typed) in typed.unwrap_or_default().iter().enumerate() {
        let path = scope.path.key(key).index(index);
        let Some(text) = scope.text(&path, typed, None) else {
            continue;
        };
        let text = text.expose().trim();
        if text.is_empty() {
            scope.problem_at(&path, "must not be empty");
        }
        texts.push(text.to_owned());
    }
    texts
}

fn scopes(scope: &mut Scope<'_>, typed: Option<&[Typed]>) -> Vec<String> {
    let scopes = texts(scope, "scopes", typed);
    let is_token = |text: &String| {
        text.bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
    };
    for (index, text) in scopes.iter().enumerate() {
        if !is_token(text) {
            let path = scope.path.key("scopes").index(index);
            scope.problem_at(
                &path,
                "a scope is one word of ASCII, without '\"' and '\\'; several are several elements",
            );
        }
    }
    scopes
}

fn client(scope: &mut Scope<'_>, typed: &IssuerEntry) -> Option<SignInClient> {
    let path = scope.path.key("client_secret");
    let secret = typed
        .client_secret
        .as_ref()
        .and_then(|typed| scope.text(&path, typed, None));
    if secret
        .as_ref()
        .is_some_and(|secret| secret.expose().is_empty())
    {
        scope.problem("client_secret", "must not be empty");
    }
    let Some(id) = scope.plain("client_id", typed.client_id.as_ref()) else {
        if typed.client_secret.is_some() && typed.client_id.is_none() {
            scope.problem("client_secret", "needs a `client_id`");
        }
        return None;
    };
    Some(SignInClient {
        id,
        secret: secret.map(|secret| SecretString::from(secret.expose())),
    })
}
