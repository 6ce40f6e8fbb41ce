//! The configured authenticators, the endpoint options that depend on them, and the check of the listen address.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use mcp_orchestrator_core::Result;
use mcp_orchestrator_core::app::Built;
use mcp_orchestrator_core::auth::{
    Authenticator, AuthenticatorChain, JwtAuthenticator, LocalAuthenticator, SignIn,
    TokenAuthenticator, WithDirectory,
};
use mcp_orchestrator_core::config::Settings;

use super::hardening;
use crate::{ConnectionLimits, Options, Pages, ProtectedResource, Tls, TlsError};

/// The configured sources of authentication.
#[derive(Debug)]
pub(crate) struct Access {
    local: bool,
    tokens: bool,
    issuers: Vec<Arc<JwtAuthenticator>>,
    sign_ins: Vec<Arc<SignIn>>,
}

impl Access {
    /// Creates them from the settings. An unchanged issuer keeps its cached keys.
    ///
    /// # Errors
    /// If an issuer cannot be used.
    pub(crate) fn new(settings: &Settings, before: Option<&Self>) -> Result<Self> {
        let connector = settings.outbound.connector();
        let settings = &settings.auth;
        let known = before.map_or(&[][..], |before| &before.issuers);
        Ok(Self {
            local: settings.local,
            tokens: settings.tokens,
            issuers: settings.issuer_authenticators(known, &connector)?,
            sign_ins: settings.sign_ins(&connector)?,
        })
    }

    /// Returns the chain of all authenticators, with the teams and admins of the configuration. A token takes
    /// precedence over the local user, also on this machine, so the local user comes last.
    ///
    /// # Errors
    /// If no authenticator is configured.
    pub(crate) fn authenticator(&self, built: &Built) -> Result<Arc<dyn Authenticator>> {
        let mut all: Vec<Arc<dyn Authenticator>> = Vec::new();
        if self.tokens {
            all.push(Arc::<TokenAuthenticator>::clone(built.tokens()));
        }
        for issuer in &self.issuers {
            all.push(Arc::<JwtAuthenticator>::clone(issuer));
        }
        if self.local {
            let local = LocalAuthenticator::for_system_user();
            all.push(Arc::new(if all.is_empty() {
                local
            } else {
                local.beside_others()
            }));
        }
        let chain = AuthenticatorChain::new(all)?;
        let directory = Arc::clone(built.directory());
        Ok(Arc::new(WithDirectory::new(chain, directory)))
    }

    /// Returns `true` if tokens of the gateway are accepted.
    pub(crate) fn takes_tokens(&self) -> bool {
        self.tokens
    }

    /// Returns `true` if tokens of an issuer are accepted.
    pub(crate) fn has_issuers(&self) -> bool {
        !self.issuers.is_empty()
    }

    /// Returns `true` if visitors can authenticate at a page.
    pub(crate) fn knows_visitors(&self) -> bool {
        self.local || self.tokens || !self.sign_ins.is_empty()
    }

    /// Returns the pages, with this authenticator for their visitors.
    pub(crate) fn pages(
        &self,
        built: &Built,
        (who, options): (Arc<dyn Authenticator>, Options),
    ) -> Pages {
        Pages {
            installer: Arc::clone(built.installer()),
            links: Arc::clone(built.links()),
            directory: Arc::clone(built.directory()),
            key: Arc::clone(built.key()),
            who,
            tokens: self.tokens,
            sign_ins: self.sign_ins.clone(),
            options,
        }
    }

    /// Fetches the keys of every issuer once, so that problems are logged at start.
    pub(crate) async fn greet(self: Arc<Self>) {
        for issuer in &self.issuers {
            // `fetch` logs the error; the first token tries again.
            if issuer.fetch().await.is_ok() {
                tracing::info!(
                    issuer = issuer.options().issuer,
                    "accepting tokens of this issuer"
                );
            }
        }
    }
}

/// Returns the options of the endpoint. The host and the origin of the public address are allowed as the gateway's own.
pub(crate) fn options(settings: &Settings) -> Options {
    let auth = &settings.auth;
    let mut allowed_hosts = settings.allowed_hosts.clone();
    let mut allowed_origins = settings.allowed_origins.clone();
    if let Some(url) = &auth.public_url {
        allowed_hosts.push(url.authority().to_owned());
        allowed_origins.push(url.origin().to_owned());
    }
    let protected = ProtectedResource {
        authorization_servers: auth.issuers.iter().map(|one| one.issuer.clone()).collect(),
        scopes: auth.scopes(),
    };
    Options {
        max_body_bytes: settings.max_body_bytes,
        allowed_origins,
        allowed_hosts,
        public_url: auth.public_url.clone(),
        protected: (!auth.issuers.is_empty()).then_some(protected),
        trusted_proxies: auth.trusted_proxies.clone(),
        ..Options::default()
    }
}

/// Returns the connection limits of the listener.
pub(crate) fn connections(settings: &Settings) -> ConnectionLimits {
    let (set, default) = (settings.auth.connections, ConnectionLimits::default());
    ConnectionLimits {
        connections: hardening::connections(
            set.total.map_or(default.connections, NonZeroUsize::get),
        ),
        connections_per_address: set
            .per_address
            .map_or(default.connections_per_address, NonZeroUsize::get),
        ..default
    }
}

/// Returns the address of the pages for a browser: the public address, else the listener's if it is a loopback address.
pub(crate) fn pages_at(settings: &Settings, address: SocketAddr) -> Option<String> {
    if let Some(url) = &settings.auth.public_url {
        return Some(url.as_str().to_owned());
    }
    let scheme = if settings.auth.tls.is_some() {
        "https"
    } else {
        "http"
    };
    address
        .ip()
        .is_loopback()
        .then(|| format!("{scheme}://{address}"))
}

/// Returns the TLS settings of the listener, if configured.
///
/// # Errors
/// If its files cannot be used.
pub(crate) fn tls(settings: &Settings) -> Result<Option<Tls>, TlsError> {
    let Some(files) = &settings.auth.tls else {
        return Ok(None);
    };
    Tls::from_files(files.certificate.clone(), files.key.clone()).map(Some)
}

/// Checks that the gateway may listen on its address: other machines may reach it only with authentication.
///
/// # Errors
/// If it may not, with the reason.
pub(crate) fn reachable(settings: &Settings) -> Result<(), String> {
    let (listen, auth) = (settings.listen, &settings.auth);
    if listen.ip().is_loopback() {
        return Ok(());
    }
    if !auth.knows_others() {
        return Err(format!(
            "{listen} is reachable from other machines, and nothing is configured that tells who calls: name `issuers` or \
             allow `tokens` in `auth`, or listen on a loopback address"
        ));
    }
    if auth.tls.is_none() && auth.trusted_proxies.is_empty() {
        tracing::warn!(
            %listen,
            "tokens travel in the clear: set `tls`, or `trusted_proxies` where a proxy in front speaks TLS"
        );
    }
    Ok(())
}
