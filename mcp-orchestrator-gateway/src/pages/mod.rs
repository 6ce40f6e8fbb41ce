//! Pages for people: setting up a credential that a call lacked, and managing one's credentials.
//!
//! Server-rendered HTML without scripts: forms, links, one style sheet. A visitor authenticates ([`visitor`]), each
//! form proves that it came from these pages ([`form`]), and every action goes through the [`Installer`], which checks
//! permissions. Nothing is cached, and no address holds a secret.

mod admit;
mod cookie;
mod error_box;
mod fields;
mod form;
mod html;
mod link;
mod oauth;
mod provider;
mod rows;
mod servers;
mod sign_in;
mod values;
mod visitor;

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use mcp_orchestrator_core::auth::{Authenticator, Directory, PublicUrl, SignIn};
use mcp_orchestrator_core::credential::Links;
use mcp_orchestrator_core::id::PrincipalId;
use mcp_orchestrator_core::installer::Installer;
use mcp_orchestrator_core::seal::StateKey;

use crate::options::Options;
use crate::rate_limit::SignInRate;

/// The dependencies of the pages.
pub struct Pages {
    /// Installs, tests and removes credentials.
    pub installer: Arc<Installer>,
    /// The links that lead to the pages.
    pub links: Arc<Links>,
    /// Team memberships and administrators.
    pub directory: Arc<Directory>,
    /// Seals what the browser keeps.
    pub key: Arc<StateKey>,
    /// Authenticates visitors that have not signed in at a page, and verifies tokens that are entered there.
    pub who: Arc<dyn Authenticator>,
    /// Whether visitors may sign in with a gateway token.
    pub tokens: bool,
    /// Identity providers at which visitors may sign in.
    pub sign_ins: Vec<Arc<SignIn>>,
    /// The options of the endpoint.
    pub options: Options,
}

/// The pages, and the rate limits of their sign-ins.
struct Site {
    pages: Pages,
    /// Sign-ins of visitors that are not yet known.
    by_address: SignInRate<IpAddr>,
    /// Sign-ins at the providers of upstream servers.
    by_visitor: SignInRate<PrincipalId>,
}

impl Deref for Site {
    type Target = Pages;

    fn deref(&self) -> &Pages {
        &self.pages
    }
}

type Shared = Arc<Site>;

/// The pages as an axum router, at the root and below the path of the public address: `/link/{id}`, `/servers`,
/// `/signin`.
///
/// Call [`Links::serve_at`] with their address, so that calls without a credential lead to them.
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
    /// Returns the address of a page as the browser has to request it.
    fn at(&self, path: &str) -> String {
        let url = self.options.public_url.as_ref();
        format!("{}{path}", url.map_or("", PublicUrl::prefix))
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("links", &self.links)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}
