//! Sign-in at an upstream server's provider: the browser is sent there from a form and returns with a code that is
//! exchanged for the token.

use std::time::{Duration, SystemTime};

use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderValue;
use http::header::REFRESH;
use http::request::Parts;
use maud::html;
use mcp_orchestrator_core::Result;
use mcp_orchestrator_core::credential::{AuthorizationAnswer, InstallationKey, LinkId};
use mcp_orchestrator_core::installer::{Actor, InstallationInfo};
use mcp_orchestrator_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

use super::cookie::Cookie;
use super::error_box::ErrorBox;
use super::html::Page;
use super::provider::query;
use super::values::Values;
use super::{Pages, Shared, Site};
use crate::errors;

/// How long a sign-in at the provider may take.
const SIGN_IN_TTL: Duration = Duration::from_mins(10);
const SEAL: &str = "page oauth";
/// The path that providers redirect browsers to.
const CALLBACK: &str = "/oauth/callback";

/// The link that a sign-in began with, sealed in a cookie.
#[derive(Serialize, Deserialize)]
struct Kept {
    state: String,
    link: String,
    until: SystemTime,
}

/// Sends the browser to the provider of a server's tokens.
///
/// # Errors
/// Why a sign-in at the provider is not possible.
pub(super) async fn begin(
    pages: &Site,
    parts: &Parts,
    (actor, key, values): (&Actor, &InstallationKey, Values),
    link: Option<&LinkId>,
) -> Result<Response> {
    let Some(base) = pages.links.page() else {
        let text = "this gateway has no address that a browser could come back to: set public_url";
        return Err(Error::new(ErrorKind::Unsupported, text));
    };
    pages.by_visitor.take(actor.principal.id.clone())?;
    let redirect = redirect_uri(pages, key).unwrap_or_else(|| format!("{base}{CALLBACK}"));
    let installer = &pages.installer;
    let begun = installer.begin_sign_in(actor, key, values, &redirect);
    let begun = begun.await?;
    let rest = begun.url.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    // The page's policy allows forms only to the gateway itself, so a link leads to the provider.
    let body = html! {
        p { "You sign in at " strong { (host) } ", and agree to what " (key.server) " may do there." }
        div.actions { a.button href=(begun.url) { "Go on" } }
    };
    let mut page = Page::new("One moment", body);
    if let Some(link) = link {
        let kept = Kept {
            state: begun.state.clone(),
            link: link.as_str().to_owned(),
            until: SystemTime::now() + SIGN_IN_TTL,
        };
        let plain = serde_json::to_vec(&kept).expect("texts and a time are JSON");
        let sealed = pages.key.seal(SEAL, b"", &plain);
        let cookie = Cookie::OAuth.keep(parts, &pages.options, (&sealed, SIGN_IN_TTL));
        page.cookies.push(cookie);
    }
    let mut response = page.response();
    if let Ok(to) = HeaderValue::from_str(&format!("0; url={}", begun.url)) {
        response.headers_mut().insert(REFRESH, to);
    }
    Ok(response)
}

/// Returns the redirect address that the server's client is registered with, if it leads to this page.
fn redirect_uri(pages: &Pages, key: &InstallationKey) -> Option<String> {
    let server = pages.installer.server(&key.server)?;
    let configured = server.oauth.as_ref()?.redirect_uri.clone()?;
    configured.starts_with("https://").then_some(configured)
}

/// Handles the return of the browser.
pub(super) async fn end(State(pages): State<Shared>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let visitor = match pages.visitor(&parts).await {
        Ok(visitor) => visitor,
        Err(response) => return response,
    };
    match ended(&pages, &parts, &visitor.actor).await {
        Ok(info) => {
            let gone = Cookie::OAuth.drop(&parts, &pages.options);
            done(&pages, &info.key, vec![gone])
        }
        Err(error) => failed(&pages, &error),
    }
}

async fn ended(pages: &Pages, parts: &Parts, actor: &Actor) -> Result<InstallationInfo> {
    let state = query(parts, "state").unwrap_or_default();
    let answer = AuthorizationAnswer {
        code: query(parts, "code").map(Into::into),
        issuer: query(parts, "iss"),
        error: query(parts, "error"),
    };
    let link = kept(pages, parts).filter(|kept| kept.state == state);
    let link = link.and_then(|kept| LinkId::parse(&kept.link));
    let link = link.as_ref().map(|id| (&*pages.links, id));
    let installer = &pages.installer;
    installer.finish_sign_in(actor, &state, answer, link).await
}

fn kept(pages: &Pages, parts: &Parts) -> Option<Kept> {
    let sealed = Cookie::OAuth.read(parts, &pages.options)?;
    let plain = pages.key.open(SEAL, b"", sealed)?;
    let kept: Kept = serde_json::from_slice(&plain).ok()?;
    (kept.until > SystemTime::now()).then_some(kept)
}

fn failed(pages: &Pages, error: &Error) -> Response {
    let body = html! {
        (ErrorBox::new(error, &Values::new()).shown(Some("Nothing was stored.")))
        p { "Open the link again, or call the tool again for a new one." }
        p { a href=(pages.at("/servers")) { "All your servers" } }
    };
    let status = errors::control_status(error.kind());
    Page::new("The sign-in did not work", body)
        .with_status(status)
        .response()
}

/// Returns the page that confirms success.
pub(super) fn done(pages: &Pages, key: &InstallationKey, cookies: Vec<String>) -> Response {
    let body = html! {
        p.told.good role="status" { (key.server) " works, and is set up for " (key.owner) "." }
        p {
            "Go back to where you called the tool and call it again; a call that waits goes on by itself. You can close this \
             page."
        }
        p { a href=(pages.at("/servers")) { "All your servers" } }
    };
    let mut page = Page::new("Connected", body);
    page.cookies = cookies;
    page.response()
}
