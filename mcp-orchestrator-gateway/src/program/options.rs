//! The options of the endpoint and its listener that follow from the settings, and the check of the listen address.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use mcp_orchestrator_core::config::Settings;

use super::hardening;
use crate::{ConnectionLimits, Options, ProtectedResource, Tls, TlsError};

/// Returns the options of the endpoint. The host and the origin of the public address are allowed as the gateway's own.
pub(crate) fn endpoint(settings: &Settings) -> Options {
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
        public_gateways: settings
            .gateways
            .iter()
            .filter(|gateway| gateway.is_public)
            .map(|gateway| gateway.id.clone())
            .collect(),
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
