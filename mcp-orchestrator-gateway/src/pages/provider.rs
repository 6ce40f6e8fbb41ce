//! Sign-in at an identity provider: the browser is sent there with a sealed cookie that only it has, and returns with a
//! code that is exchanged for an ID token.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::request::Parts;
use mcp_orchestrator_core::auth::{SignInAnswer, SignInFlow};
use mcp_orchestrator_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::cookie::Cookie;
use super::html::{go, refused};
use super::{Pages, Shared, Site, sign_in, visitor};
use crate::request::connection::Peer;
use crate::request::forwarded::Forwarded;
use crate::request::head::Head;
use crate::request::validate;
use crate::serve::network;

/// How long a sign-in at the provider may take.
const SIGN_IN_TTL: Duration = Duration::from_mins(10);
const SEAL: &str = "page sign-in";
/// The path that providers redirect browsers to.
const CALLBACK: &str = "/signin/callback";

/// A sign-in in progress, sealed in a cookie.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The issuer that the sign-in began at.
    issuer: String,
    flow: SignInFlow,
    /// Where the visitor continues afterwards.
    next: String,
    until: SystemTime,
}

/// Sends the browser to a provider.
pub(super) async fn begin(
    State(pages): State<Shared>,
    Path(number): Path<usize>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    begun(&pages, &parts, number)
        .await
        .unwrap_or_else(|error| refused(&error))
}

async fn begun(pages: &Site, parts: &Parts, number: usize) -> Result<Response> {
    validate::host(&Head::of(parts), &pages.options)?;
    let missing = |text| Error::new(ErrorKind::NoRoute, text);
    let one = pages
        .sign_ins
        .get(number)
        .ok_or_else(|| missing("no sign-in there"))?;
    let base = pages
        .links
        .page()
        .ok_or_else(|| missing("this gateway has no address that a browser could come back to"))?;
    pages.by_address.take(client(parts))?;
    let (url, flow) = one.begin(&format!("{base}{CALLBACK}")).await?;
    let kept = Kept {
        issuer: one.issuer().to_owned(),
        flow,
        next: sign_in::path(query(parts, "next").unwrap_or_default()),
        until: SystemTime::now() + SIGN_IN_TTL,
    };
    let plain = serde_json::to_vec(&kept).expect("texts and a time are JSON");
    let sealed = pages.key.seal(SEAL, b"", &plain);
    let cookie = Cookie::Flow.keep(parts, &pages.options, (&sealed, SIGN_IN_TTL));
    Ok(go(&url, &[cookie]))
}

/// Returns the network that a request comes from. Requests without a known address are counted together.
fn client(parts: &Parts) -> IpAddr {
    let forwarded = parts.extensions.get::<Forwarded>();
    let peer = || parts.extensions.get::<Peer>().map(|peer| peer.0);
    let client = forwarded.map(|forwarded| forwarded.client).or_else(peer);
    network(client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

/// Handles the return of the browser.
pub(super) async fn end(State(pages): State<Shared>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let (who, next) = match ended(&pages, &parts).await {
        Ok(ended) => ended,
        Err(error) if error.kind() == ErrorKind::CallerUnknowable => return refused(&error),
        Err(error) => {
            return sign_in::page(
                &pages,
                &parts,
                String::new(),
                Some(&format!("Nobody is signed in: {error}.")),
            );
        }
    };
    let gone = Cookie::Flow.drop(&parts, &pages.options);
    let session = visitor::keep_person(&pages, &parts, &who);
    go(&pages.at(&next), &[gone, session])
}

type Ended = (
    std::sync::Arc<mcp_orchestrator_core::auth::Principal>,
    String,
);

async fn ended(pages: &Pages, parts: &Parts) -> Result<Ended> {
    validate::host(&Head::of(parts), &pages.options)?;
    let lost = || {
        let text = "this sign-in was not begun in this browser, or too long ago: begin it again";
        Error::new(ErrorKind::Forbidden, text)
    };
    let sealed = Cookie::Flow.read(parts, &pages.options).ok_or_else(lost)?;
    let plain = pages.key.open(SEAL, b"", sealed).ok_or_else(lost)?;
    let kept: Kept = serde_json::from_slice(&plain).map_err(|_| lost())?;
    let mut all = pages.sign_ins.iter();
    let one = all
        .find(|one| one.issuer() == kept.issuer)
        .ok_or_else(lost)?;
    if kept.until <= SystemTime::now() {
        return Err(lost());
    }
    let answer = SignInAnswer {
        code: query(parts, "code").map(Into::into),
        state: query(parts, "state"),
        issuer: query(parts, "iss"),
        error: query(parts, "error"),
    };
    let who = one.finish(&kept.flow, answer).await?;
    if !who.is_well_named() {
        let text = format!("{} is no name for who visits: it is reserved", who.id);
        return Err(Error::new(ErrorKind::Forbidden, text));
    }
    Ok((who, kept.next))
}

/// Returns a query parameter of the requested address.
pub(super) fn query(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let found = pairs.find(|(known, _)| known == name);
    found.map(|(_, value)| value.into_owned())
}
