//! Who tells the program who calls, and on what address that is needed.

use std::sync::Arc;

use mcp_orchestrator_core::Result;
use mcp_orchestrator_core::auth::{
    Authenticator, AuthenticatorChain, JwtAuthenticator, LocalAuthenticator, WithDirectory,
};
use mcp_orchestrator_core::config::{AuthSettings, Built, Settings};

/// Those who tell, as they are configured.
#[derive(Debug)]
pub(crate) struct Access {
    chain: AuthenticatorChain,
    issuers: Vec<Arc<JwtAuthenticator>>,
}

impl Access {
    /// In the order in which they are asked: issuers, then who is on this machine.
    ///
    /// # Errors
    /// Where an issuer cannot be used, and where nobody would tell.
    pub(crate) fn new(settings: &AuthSettings) -> Result<Self> {
        let issuers = settings.issuer_authenticators()?;
        let mut all: Vec<Arc<dyn Authenticator>> = Vec::new();
        for issuer in &issuers {
            all.push(Arc::<JwtAuthenticator>::clone(issuer));
        }
        if settings.local {
            all.push(Arc::new(LocalAuthenticator::for_system_user()));
        }
        Ok(Self {
            chain: AuthenticatorChain::new(all)?,
            issuers,
        })
    }

    /// The same, with the teams and admins of the configuration.
    pub(crate) fn authenticator(&self, built: &Built) -> Arc<dyn Authenticator> {
        let directory = Arc::clone(built.directory());
        Arc::new(WithDirectory::new(self.chain.clone(), directory))
    }

    /// Asks every issuer once, so that what is wrong with one is told at start.
    pub(crate) async fn greet(self) {
        for issuer in &self.issuers {
            // Why it failed was logged; the first token asks again.
            if issuer.fetch().await.is_ok() {
                tracing::info!(issuer = issuer.options().issuer, "its tokens are taken");
            }
        }
    }
}

/// Whether it may listen where it is to: others than the local user are to be told apart.
///
/// # Errors
/// Why not.
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
