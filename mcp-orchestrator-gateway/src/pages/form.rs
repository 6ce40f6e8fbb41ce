//! Forms: read with a size limit, and rejected unless one of the gateway's pages created them for this visitor.
//!
//! Two things prove that. The browser states the form's origin (`Origin`, `Sec-Fetch-Site`), which must be the gateway.
//! And the form carries a keyed hash of the visitor and of a random value that only this browser has.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use http::HeaderMap;
use http::header::ORIGIN;
use http::request::Parts;
use maud::{Markup, html};
use mcp_orchestrator_core::seal::random_text;
use mcp_orchestrator_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret as _, SecretString};

use super::Pages;
use super::cookie::{Cookie, host};
use crate::limits::MAX_FORM_LEN;
use crate::mcp::bodies;

/// How long a browser keeps the random value for its forms.
const FORM_NONCE_TTL: Duration = Duration::from_hours(12);
/// The field with the proof of a form's origin.
const PROOF: &str = "form";

/// The fields of a submitted form.
pub(super) struct Form(BTreeMap<String, SecretString>);

impl Form {
    /// Takes a value; an empty one counts as missing.
    pub(super) fn take(&mut self, name: &str) -> Option<SecretString> {
        self.0
            .remove(name)
            .filter(|value| !value.expose_secret().is_empty())
    }

    /// Takes a value that is not secret.
    pub(super) fn plain(&mut self, name: &str) -> Option<String> {
        self.take(name)
            .map(|value| value.expose_secret().to_owned())
    }

    /// Reads the form of this request.
    ///
    /// # Errors
    /// [`Forbidden`](ErrorKind::Forbidden) if the gateway did not create it for this visitor.
    pub(super) async fn read(
        pages: &Pages,
        (parts, body): (&Parts, Body),
        visitor: &str,
    ) -> Result<Self> {
        if !is_from_here(parts, pages) {
            return Err(forged());
        }
        // The body is not read for a browser that never received a form.
        let Some(nonce) = Cookie::Form.read(parts, &pages.options) else {
            return Err(forged());
        };
        let body = bodies::read(parts, body, MAX_FORM_LEN, None).await?;
        let pairs = form_urlencoded::parse(&body);
        let fields =
            pairs.map(|(name, value)| (name.into_owned(), SecretString::from(value.into_owned())));
        let mut form = Self(fields.collect());
        let shown = form.plain(PROOF).unwrap_or_default();
        let proof = proof(pages, nonce, visitor);
        // Hashes are compared instead of the values, so that timing reveals nothing.
        let same = |text: &str| pages.key.digest("same", [text.as_bytes()]);
        if same(&shown) != same(&proof) {
            return Err(forged());
        }
        Ok(form)
    }
}

fn forged() -> Error {
    Error::new(
        ErrorKind::Forbidden,
        "this form was not made by a page of this gateway for you, or is too old: open the page again",
    )
}

fn proof(pages: &Pages, nonce: &str, visitor: &str) -> String {
    let parts = [nonce.as_bytes(), visitor.as_bytes()];
    pages.key.digest("page form", parts).hex(32)
}

/// The proof that a form was created for this browser and visitor.
pub(super) struct Proof {
    text: String,
    cookie: Option<String>,
}

impl Proof {
    /// Uses the browser's random value, or creates one.
    pub(super) fn new(pages: &Pages, parts: &Parts, visitor: &str) -> Self {
        if let Some(nonce) = Cookie::Form.read(parts, &pages.options) {
            return Self {
                text: proof(pages, nonce, visitor),
                cookie: None,
            };
        }
        let nonce = random_text(24);
        Self {
            text: proof(pages, &nonce, visitor),
            cookie: Some(Cookie::Form.keep(parts, &pages.options, (&nonce, FORM_NONCE_TTL))),
        }
    }

    /// Returns the hidden field with the proof.
    pub(super) fn field(&self) -> Markup {
        html! { input type="hidden" name=(PROOF) value=(self.text); }
    }

    /// Returns the cookies to set.
    pub(super) fn cookies(self) -> Vec<String> {
        self.cookie.into_iter().collect()
    }
}

/// Returns `true` if the browser states that the form was on one of the gateway's pages. Without any statement it is
/// rejected.
fn is_from_here(parts: &Parts, pages: &Pages) -> bool {
    let site = text(&parts.headers, "sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    let Some(origin) = text(&parts.headers, ORIGIN.as_str()) else {
        return site.is_some();
    };
    if origin == "null" {
        return site.is_some();
    }
    let public = pages.options.public_url.as_ref();
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    public.is_some_and(|url| url.origin() == origin)
        || authority.is_some() && authority == host(parts)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
