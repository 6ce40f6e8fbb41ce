//! The visitor of a page: signed in at a page, or else known to the endpoint's authenticators, such as the local user.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use http::header::AUTHORIZATION;
use http::request::Parts;
use maud::{Markup, html};
use mcp_orchestrator_core::auth::{Authenticated, Principal};
use mcp_orchestrator_core::id::{PrincipalId, TeamId};
use mcp_orchestrator_core::installer::Actor;
use mcp_orchestrator_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::Pages;
use super::cookie::Cookie;
use super::form::Proof;
use crate::limits::MAX_PAGE_TOKEN_LEN;

/// How long a sign-in is valid.
const SESSION_TTL: Duration = Duration::from_mins(30);
const SEAL: &str = "page session";

/// The visitor of a page.
pub(super) struct Visitor {
    pub(super) actor: Actor,
    /// Whether they signed in at a page and can therefore sign out.
    signed_in: bool,
    /// Whether their token is limited to the calls of one gateway: such a token can use a link, but not manage
    /// installations.
    pub(super) bound: bool,
}

/// A sign-in, sealed in a cookie.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Session {
    /// With a gateway token, which is checked at each visit, so that revoking it also ends the sign-in.
    Token(String),
    /// At an identity provider.
    Person { id: PrincipalId, teams: Vec<TeamId> },
}

#[derive(Serialize, Deserialize)]
struct Kept {
    session: Session,
    until: SystemTime,
}

/// Returns the visitor, if known.
///
/// # Errors
/// If the visitor cannot be determined now, or may not visit.
pub(super) async fn find(pages: &Pages, parts: &Parts) -> Result<Option<Visitor>> {
    if let Some(session) = kept(pages, parts) {
        let found = match session {
            Session::Token(token) => by_token(pages, parts, &token.into()).await?,
            Session::Person { id, teams } => Some(Authenticated::new(person(pages, id, teams))),
        };
        if let Some(who) = found {
            return visitor(pages, who, true).map(Some);
        }
    }
    match pages.who.authenticate(parts).await {
        Ok(Some(who)) => visitor(pages, who, false).map(Some),
        Ok(None) => Ok(None),
        Err(error) if error.kind() == ErrorKind::Unauthenticated => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the principal of this token; `None` if the token is invalid.
///
/// # Errors
/// If the token cannot be verified now.
pub(super) async fn by_token(
    pages: &Pages,
    parts: &Parts,
    token: &SecretString,
) -> Result<Option<Authenticated>> {
    let token = token.expose_secret().trim();
    let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}")) else {
        return Ok(None);
    };
    value.set_sensitive(true);
    if token.is_empty() || token.len() > MAX_PAGE_TOKEN_LEN {
        return Ok(None);
    }
    let mut asked = parts.clone();
    // Tokens are issued for the endpoint, not for its pages.
    asked.uri = http::Uri::from_static("/mcp");
    asked.headers.insert(AUTHORIZATION, value);
    match pages.who.authenticate(&asked).await {
        Err(error) if error.kind() != ErrorKind::Unauthenticated => Err(error),
        found => Ok(found.ok().flatten()),
    }
}

fn visitor(pages: &Pages, who: Authenticated, signed_in: bool) -> Result<Visitor> {
    if !who.principal.is_well_named() {
        let text = format!(
            "{} is no name for who visits: it is reserved",
            who.principal.id
        );
        return Err(Error::new(ErrorKind::Forbidden, text));
    }
    let admin = who.admin || pages.directory.is_admin(&who.principal);
    let actor = Actor {
        principal: who.principal,
        admin,
    };
    Ok(Visitor {
        actor,
        signed_in,
        bound: who.gateway.is_some(),
    })
}

fn person(pages: &Pages, id: PrincipalId, teams: Vec<TeamId>) -> Arc<Principal> {
    let mut principal = Principal::user(id, "signed in");
    principal.teams = teams;
    pages.directory.complete(Arc::new(principal))
}

fn kept(pages: &Pages, parts: &Parts) -> Option<Session> {
    let sealed = Cookie::Session.read(parts, &pages.options)?;
    let plain = pages.key.open(SEAL, b"", sealed)?;
    let kept: Kept = serde_json::from_slice(&plain).ok()?;
    (kept.until > SystemTime::now()).then_some(kept.session)
}

/// Returns the cookie of a visitor that signed in with this token.
pub(super) fn keep_token(pages: &Pages, parts: &Parts, token: &SecretString) -> String {
    keep(
        pages,
        parts,
        Session::Token(token.expose_secret().trim().to_owned()),
    )
}

/// Returns the cookie of a visitor that signed in at an identity provider.
pub(super) fn keep_person(pages: &Pages, parts: &Parts, who: &Principal) -> String {
    let (id, teams) = (who.id.clone(), who.teams.clone());
    keep(pages, parts, Session::Person { id, teams })
}

fn keep(pages: &Pages, parts: &Parts, session: Session) -> String {
    let kept = Kept {
        session,
        until: SystemTime::now() + SESSION_TTL,
    };
    let plain = serde_json::to_vec(&kept).expect("texts and a time are JSON");
    let sealed = pages.key.seal(SEAL, b"", &plain);
    Cookie::Session.keep(parts, &pages.options, (&sealed, SESSION_TTL))
}

impl Visitor {
    /// The visitor's name.
    pub(super) fn id(&self) -> &str {
        self.actor.principal.id.as_str()
    }

    /// The header of each page: the visitor's name, and a button to sign out.
    pub(super) fn top(&self, pages: &Pages, proof: &Proof) -> Markup {
        html! {
            div.who {
                span { "You are " strong { (self.id()) } }
                @if self.signed_in {
                    form method="post" action=(pages.at("/signout")) {
                        (proof.field())
                        button.quiet type="submit" { "Sign out" }
                    }
                }
            }
        }
    }
}
