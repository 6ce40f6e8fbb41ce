//! Signing in at a page, with a gateway token or at a provider, and signing out.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use maud::{Markup, html};

use super::cookie::Cookie;
use super::form::{Form, Proof};
use super::html::{Page, go, refused};
use super::{Pages, Shared, visitor};
use crate::request::head::Head;
use crate::request::validate;

/// The visitor that forms are bound to before sign-in.
const UNKNOWN_VISITOR: &str = "";
/// Where a visitor continues without a requested page.
const HOME: &str = "/servers";

pub(super) async fn show(State(pages): State<Shared>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    match pages.visitor(&parts).await {
        Ok(_) => go(&pages.at(HOME), &[]),
        Err(page) => page,
    }
}

/// The page where an unknown visitor signs in and then continues to `next`.
pub(super) fn page(pages: &Pages, parts: &Parts, next: String, wrong: Option<&str>) -> Response {
    let proof = Proof::new(pages, parts, UNKNOWN_VISITOR);
    let next = path(next);
    let body = html! {
        @if let Some(wrong) = wrong { p.told.bad role="alert" { (wrong) } }
        @if !pages.sign_ins.is_empty() { (ways(pages, &next)) }
        @if !pages.sign_ins.is_empty() && pages.tokens { p.or { "Or use an access token:" } }
        @if pages.tokens {
            form method="post" action=(pages.at("/signin")) {
                (proof.field())
                input type="hidden" name="next" value=(next);
                div.field {
                    label for="token" { "Your token" }
                    p.hint id="token-hint" { "The token that your MCP client uses. It starts with mcpo_." }
                    input id="token" name="token" type="password" required autocomplete="off" autocapitalize="off"
                        spellcheck="false" aria-describedby="token-hint";
                }
                div.actions { button type="submit" { "Sign in" } }
            }
        }
        @if !pages.tokens && pages.sign_ins.is_empty() {
            p { "This page is for the user of the gateway's own machine: open it there, in a browser without a proxy." }
        }
    };
    let status = if wrong.is_some() {
        StatusCode::FORBIDDEN
    } else {
        StatusCode::UNAUTHORIZED
    };
    let mut page = Page::new("Sign in", body).with_status(status);
    page.cookies = proof.cookies();
    page.response()
}

/// Returns a button for each provider.
fn ways(pages: &Pages, next: &str) -> Markup {
    html! {
        div.actions {
            @for (number, one) in pages.sign_ins.iter().enumerate() {
                a.button href=(pages.at(&way(number, next))) {
                    "Sign in at " (host(one.issuer()))
                }
            }
        }
    }
}

fn way(number: usize, next: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", next);
    format!("/signin/at/{number}?{}", query.finish())
}

fn host(issuer: &str) -> &str {
    issuer.split_once("://").map_or(issuer, |(_, host)| host)
}

pub(super) async fn by_token(State(pages): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(error) = validate::host(&Head::of(&parts), &pages.options) {
        return refused(&error);
    }
    let mut form = match Form::read(&pages, (&parts, body), UNKNOWN_VISITOR).await {
        Ok(form) => form,
        Err(error) => return refused(&error),
    };
    let next = path(form.plain("next").unwrap_or_default());
    let token = form
        .take("token")
        .filter(|_| pages.tokens)
        .unwrap_or_default();
    match visitor::by_token(&pages, &parts, &token).await {
        Ok(Some(_)) => {
            let cookie = visitor::keep_token(&pages, &parts, &token);
            go(&pages.at(&next), &[cookie])
        }
        Ok(None) => page(
            &pages,
            &parts,
            next,
            Some("Invalid, expired or revoked token."),
        ),
        Err(error) => refused(&error),
    }
}

pub(super) async fn out(State(pages): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let visitor = match pages.visitor(&parts).await {
        Ok(visitor) => visitor,
        Err(page) => return page,
    };
    match Form::read(&pages, (&parts, body), visitor.id()).await {
        Ok(_) => {
            let gone = Cookie::Session.drop(&parts, &pages.options);
            go(&pages.at("/signin"), &[gone])
        }
        Err(error) => refused(&error),
    }
}

/// Returns where the visitor continues: `next` if it is one of the gateway's pages, else the list of servers.
pub(super) fn path(next: String) -> String {
    let known = ["/link/", "/servers"];
    let plain = next
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let ours = known.iter().any(|known| next.starts_with(known));
    if ours && plain { next } else { HOME.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn sign_in_redirects_only_to_pages_of_the_gateway() {
        for ours in ["/link/abc", "/servers", "/servers/jira?owner=me"] {
            assert_eq!(path(ours.into()), ours);
        }
        for other in [
            "//evil.example",
            "https://evil.example",
            "/mcp",
            "/servers\r\nx: y",
            "/link/\\evil",
        ] {
            assert_eq!(path(other.into()), super::HOME, "{other}");
        }
    }
}
