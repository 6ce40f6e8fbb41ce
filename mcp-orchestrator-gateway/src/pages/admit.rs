//! Admits visitors to the pages: each is known, or is sent to sign in.

use axum::response::Response;
use http::request::Parts;
use mcp_orchestrator_core::auth::PublicUrl;

use super::html::refused;
use super::visitor::{self, Visitor};
use super::{Pages, sign_in};
use crate::request::head::Head;
use crate::request::validate;

impl Pages {
    /// Returns the visitor, or else the sign-in page.
    pub(super) async fn visitor(&self, parts: &Parts) -> Result<Visitor, Response> {
        validate::host(&Head::of(parts), &self.options).map_err(|error| refused(&error))?;
        match visitor::find(self, parts).await {
            Ok(Some(visitor)) => Ok(visitor),
            Ok(None) => Err(sign_in::page(self, parts, here(self, parts), None)),
            Err(error) => Err(refused(&error)),
        }
    }
}

/// Returns the requested path without the prefix of the public address.
fn here(pages: &Pages, parts: &Parts) -> String {
    let url = pages.options.public_url.as_ref();
    let prefix = url.map_or("", PublicUrl::prefix);
    let asked = parts
        .uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    asked.strip_prefix(prefix).unwrap_or(asked).to_owned()
}
