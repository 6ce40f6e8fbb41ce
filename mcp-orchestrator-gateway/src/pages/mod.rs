//! Pages for people: where a credential is set up that a call lacked, and where one's own are looked after.
//!
//! Plain HTML from the server, without a script: forms, links, one style sheet. Whoever opens a page proves who they are
//! ([`visitor`]), each form shows that it came from here ([`form`]), and whatever is done goes through the [`Installer`],
//! which decides whether they may. Nothing is cached, and no address holds a secret.

mod cookie;
mod fields;
mod form;
mod html;
mod link;
mod oauth;
mod provider;
mod rows;
mod servers;
mod sign_in;
mod visitor;
mod wrong;

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use http::request::Parts;
use mcp_orchestrator_core::auth::{Authenticator, Directory, PublicUrl, SignIn};
use mcp_orchestrator_core::credential::Links;
use mcp_orchestrator_core::id::PrincipalId;
use mcp_orchestrator_core::installer::Installer;
use mcp_orchestrator_core::seal::StateKey;
use mcp_orchestrator_core::{Error, ErrorKind};

use self::visitor::Visitor;
use crate::options::Options;
use crate::rates::SignInRate;
use crate::{errors, guard};

/// What the pages need.
pub struct Pages {
    /// Who installs.
    pub installer: Arc<Installer>,
    /// The links that lead here.
    pub links: Arc<Links>,
    /// Who is in which team, and who administers.
    pub directory: Arc<Directory>,
    /// Seals what is kept in a browser.
    pub key: Arc<StateKey>,
    /// Who tells who visits, besides a sign-in at a page.
    pub who: Arc<dyn Authenticator>,
    /// Whether visitors may show a token of ours.
    pub tokens: bool,
    /// Where visitors may sign in besides.
    pub sign_ins: Vec<Arc<SignIn>>,
    /// As for the endpoint.
    pub options: Options,
}

/// The pages, and how often sign-ins are begun at them.
struct Site {
    pages: Pages,
    /// By those whom nobody knows.
    by_address: SignInRate<IpAddr>,
    /// At the providers of upstream servers.
    by_visitor: SignInRate<PrincipalId>,
}

impl Deref for Site {
    type Target = Pages;

    fn deref(&self) -> &Pages {
        &self.pages
    }
}

type Shared = Arc<Site>;

/// The pages as an axum router, at the root and below the path of the public address: `/link/{id}`, `/servers`, `/signin`.
///
/// Somebody has to tell [`Links::serve_at`] where they are, so that calls without a credential lead here.
pub fn pages(pages: Pages) -> Router {
    let url = pages.options.public_url.as_ref();
    let own = url.map(PublicUrl::prefix).filter(|own| !own.is_empty());
    let prefixes: Vec<String> = std::iter::once("").chain(own).map(str::to_owned).collect();
    let mut router = Router::new();
    for prefix in prefixes {
        let at = |path: &str| format!("{prefix}{path}");
        router = router
            .route(&at("/link/{id}"), get(link::show).post(link::submit))
            .route(&at("/servers"), get(servers::list))
            .route(
                &at("/servers/{server}"),
                get(servers::show).post(servers::install),
            )
            .route(
                &at("/servers/{server}/remove"),
                get(servers::ask_removal).post(servers::remove),
            )
            .route(&at("/servers/{server}/test"), post(servers::test))
            .route(&at("/signin"), get(sign_in::show).post(sign_in::by_token))
            .route(&at("/signin/at/{number}"), get(provider::begin))
            .route(&at("/signin/callback"), get(provider::end))
            .route(&at("/oauth/callback"), get(oauth::end))
            .route(&at("/signout"), post(sign_in::out));
    }
    router.with_state(Arc::new(Site {
        pages,
        by_address: SignInRate::default(),
        by_visitor: SignInRate::default(),
    }))
}

impl Pages {
    /// An address of ours as a browser has to ask for it.
    fn at(&self, path: &str) -> String {
        let url = self.options.public_url.as_ref();
        format!("{}{path}", url.map_or("", PublicUrl::prefix))
    }

    /// Who visits; else the page where they sign in.
    async fn visitor(&self, parts: &Parts) -> Result<Visitor, Response> {
        guard::host(parts, &self.options).map_err(|error| refused(&error))?;
        match visitor::find(self, parts).await {
            Ok(Some(visitor)) => Ok(visitor),
            Ok(None) => Err(sign_in::page(self, parts, here(self, parts), None)),
            Err(error) => Err(refused(&error)),
        }
    }
}

/// The path that was asked for, without the prefix of the public address.
fn here(pages: &Pages, parts: &Parts) -> String {
    let url = pages.options.public_url.as_ref();
    let prefix = url.map_or("", PublicUrl::prefix);
    let asked = parts
        .uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    asked.strip_prefix(prefix).unwrap_or(asked).to_owned()
}

/// An error as a page.
fn refused(error: &Error) -> Response {
    let status = match error.kind() {
        ErrorKind::NoRoute => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        // A person reads it: that a step of their own failed is no failure of the gateway.
        ErrorKind::InvalidParams | ErrorKind::InvalidRequest => StatusCode::BAD_REQUEST,
        _ => errors::control_status(error.kind()),
    };
    html::message(status, "This did not work", &error.to_string())
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("links", &self.links)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}
