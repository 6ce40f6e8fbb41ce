//! What the listener serves: built from the settings at start and at each reload, and replaced while calls are in
//! flight.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::Router;
use mcp_orchestrator_core::app::{Authenticators, Built};
use mcp_orchestrator_core::auth::{Authenticator, PublicUrl};
use mcp_orchestrator_core::config::{AuthSettings, Notice, Settings};
use parking_lot::{Mutex, MutexGuard};

use super::options;
use crate::control::{Control, web_router};
use crate::mcp::admission::Admission;
use crate::{Endpoint, LiveRoutes, Pages, Readiness, Routes, Tls, health_router};

/// The state of the listener.
#[derive(Debug)]
pub(crate) struct Live {
    address: SocketAddr,
    tls: Option<Tls>,
    now: Mutex<Now>,
    public_url: ArcSwapOption<PublicUrl>,
    routes: LiveRoutes,
    admission: Admission,
}

/// The current authentication.
#[derive(Clone, Debug)]
struct Now {
    auth: AuthSettings,
    authenticators: Arc<Authenticators>,
}

/// A prepared state. Applying it cannot fail.
pub(crate) struct Next {
    now: Now,
    routes: Routes,
    who: Arc<dyn Authenticator>,
    /// The address of the pages for a browser, if visitors can authenticate.
    visited: Option<String>,
    /// Changes that require a restart.
    pub(crate) notices: Vec<Notice>,
}

impl Live {
    /// Creates the state for a listener at this address. It serves nothing yet.
    pub(crate) fn new(
        settings: &Settings,
        (built, authenticators): (&Built, Authenticators),
        (address, tls): (SocketAddr, Option<Tls>),
    ) -> Self {
        built.orchestrator().follow(built.tokens().revision());
        Self {
            address,
            tls,
            now: Mutex::new(Now {
                auth: settings.auth.clone(),
                authenticators: Arc::new(authenticators),
            }),
            public_url: ArcSwapOption::empty(),
            routes: Router::new().into(),
            admission: Admission::following(built.tokens().revision().clone()),
        }
    }

    /// Returns the routes to serve.
    pub(crate) fn routes(&self) -> LiveRoutes {
        self.routes.clone()
    }

    /// Returns the current authentication.
    pub(crate) fn authenticators(&self) -> Arc<Authenticators> {
        Arc::clone(&self.now().authenticators)
    }

    /// Returns the address under which clients reach the gateway.
    pub(crate) fn public_url(&self) -> Option<Arc<PublicUrl>> {
        self.public_url.load_full()
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock()
    }

    /// Prepares the state for these settings without changing anything.
    ///
    /// # Errors
    /// If the settings cannot be used here.
    pub(crate) fn next(&self, control: &Control, settings: &Settings) -> Result<Next, String> {
        let before = self.now().clone();
        let (mut settings, mut notices) = (settings.clone(), Vec::new());
        // The address and the TLS settings belong to the listener; TLS files are reloaded separately.
        settings.listen = self.address;
        settings.auth.tls.clone_from(&before.auth.tls);
        if settings.auth.is_single_principal() != before.auth.is_single_principal() {
            notices.push(stays(&settings));
            settings.auth.local = before.auth.local;
            settings.auth.tokens = before.auth.tokens;
            settings.auth.issuers.clone_from(&before.auth.issuers);
        }
        options::reachable(&settings)?;
        let text = |error: mcp_orchestrator_core::Error| error.to_string();
        let authenticators =
            Authenticators::new(&settings, Some(&before.authenticators)).map_err(text)?;
        let who = authenticators.compose(&control.built).map_err(text)?;
        let routes = self.made(control, &settings, (&authenticators, &who));
        let visited = options::pages_at(&settings, self.address);
        Ok(Next {
            visited: visited.filter(|_| authenticators.authenticates_visitors()),
            now: Now {
                auth: settings.auth,
                authenticators: Arc::new(authenticators),
            },
            routes,
            who,
            notices,
        })
    }

    fn made(
        &self,
        control: &Control,
        settings: &Settings,
        (authenticators, who): (&Authenticators, &Arc<dyn Authenticator>),
    ) -> Routes {
        let built = &control.built;
        let options = options::endpoint(settings);
        let pages = Pages {
            installer: Arc::clone(built.installer()),
            links: Arc::clone(built.links()),
            directory: Arc::clone(built.directory()),
            key: Arc::clone(built.key()),
            who: Arc::clone(who),
            tokens: authenticators.accepts_tokens(),
            sign_ins: authenticators.sign_ins().to_vec(),
            options: options.clone(),
        };
        let web = settings.auth.knows_others();
        let web = web.then(|| {
            let how = (options.clone(), self.admission.clone());
            web_router(control.clone(), Arc::clone(who), how)
        });
        let how = (options, self.admission.clone());
        let endpoint = Endpoint::admitting(built.orchestrator().clone(), Arc::clone(who), how);
        let readiness = health_router(ready(built).without_reason());
        let mut routes = Routes::from(endpoint).beside(readiness);
        routes = routes.limited(options::connections(settings));
        routes = routes.beside(crate::pages(pages));
        if let Some(tls) = &self.tls {
            routes = routes.by_tls(tls.clone());
        }
        match web {
            Some(web) => routes.beside(web),
            None => routes,
        }
    }

    /// Applies a prepared state: new requests use it.
    pub(crate) fn take(&self, built: &Built, next: Next) {
        let url = next.now.auth.public_url.clone();
        self.public_url.store(url.map(Arc::new));
        self.routes.replace(next.routes);
        self.admission.replace(next.who);
        if let Some(address) = next.visited {
            built.links().serve_at(address);
        }
        *self.now() = next.now;
    }
}

/// Creates the notice for a change between a single local user and authenticated callers. The capabilities declared to
/// running servers depend on it, so the change requires a restart.
fn stays(settings: &Settings) -> Notice {
    let file = settings
        .files
        .first()
        .map_or("", |file| file.to_str().unwrap_or_default());
    Notice {
        file: std::path::Path::new(file).into(),
        position: None,
        key: "auth".to_owned(),
        message: "whether only the local user calls counts from the next start on; until then those call who could before"
            .to_owned(),
    }
}

/// Returns the readiness to accept calls.
pub(crate) fn ready(built: &Arc<Built>) -> Readiness {
    let built = Arc::clone(built);
    Readiness::new(move || built.check_active())
}
