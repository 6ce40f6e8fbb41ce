//! The configured authenticators: builds them from settings and composes them.

use std::sync::Arc;

use super::Built;
use crate::auth::{
    Audience, Authenticator, AuthenticatorChain, JwtAuthenticator, JwtOptions, LocalAuthenticator,
    PublicUrl, SignIn, TokenAuthenticator, WithDirectory,
};
use crate::config::{AuthSettings, IssuerSettings, Settings, SignInClient};
use crate::error::{Error, ErrorKind, Result};
use crate::outbound::Connector;

/// The configured sources of authentication.
#[derive(Debug)]
pub struct Authenticators {
    local: bool,
    tokens: bool,
    issuers: Vec<Arc<JwtAuthenticator>>,
    sign_ins: Vec<Arc<SignIn>>,
}

impl Authenticators {
    /// Creates them from the settings. An issuer of `before` with equal options keeps its cached keys. Makes no
    /// requests.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if an issuer cannot be used.
    pub fn new(settings: &Settings, before: Option<&Self>) -> Result<Self> {
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
    /// [`Config`](ErrorKind::Config) if no authenticator is configured.
    pub fn compose(&self, built: &Built) -> Result<Arc<dyn Authenticator>> {
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
    pub fn accepts_tokens(&self) -> bool {
        self.tokens
    }

    /// Returns `true` if tokens of an issuer are accepted.
    pub fn has_issuers(&self) -> bool {
        !self.issuers.is_empty()
    }

    /// Returns `true` if visitors of a page can authenticate.
    pub fn authenticates_visitors(&self) -> bool {
        self.local || self.tokens || !self.sign_ins.is_empty()
    }

    /// Returns the issuers at which people can sign in on a page.
    pub fn sign_ins(&self) -> &[Arc<SignIn>] {
        &self.sign_ins
    }

    /// Fetches the keys of every issuer once, so that problems are logged at start.
    pub async fn fetch_keys(&self) {
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

impl AuthSettings {
    /// Returns one authenticator per issuer, in order. An authenticator of `before` with equal options is reused,
    /// because it already knows the keys of its issuer. Makes no requests.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if an issuer cannot be used.
    fn issuer_authenticators(
        &self,
        before: &[Arc<JwtAuthenticator>],
        connector: &Connector,
    ) -> Result<Vec<Arc<JwtAuthenticator>>> {
        let url = self.public_url.as_ref();
        let one = |issuer| {
            let options = options(issuer, url)?;
            match before.iter().find(|known| *known.options() == options) {
                Some(known) => Ok(Arc::clone(known)),
                None => Ok(Arc::new(JwtAuthenticator::with_connector(
                    options,
                    connector.clone(),
                )?)),
            }
        };
        self.issuers.iter().map(one).collect()
    }

    /// Returns the issuers at which people can sign in on the gateway's pages, each with the gateway's client there.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if an issuer cannot be used.
    fn sign_ins(&self, connector: &Connector) -> Result<Vec<Arc<SignIn>>> {
        let url = self.public_url.as_ref();
        let ours = self
            .issuers
            .iter()
            .filter_map(|issuer| Some((issuer, issuer.client.as_ref()?)));
        let one = |(issuer, client): (&IssuerSettings, &SignInClient)| {
            let (id, secret) = (client.id.clone(), client.secret.clone());
            Ok(Arc::new(SignIn::new(
                options(issuer, url)?,
                id,
                secret,
                connector.clone(),
            )?))
        };
        ours.map(one).collect()
    }
}

fn options(issuer: &IssuerSettings, url: Option<&PublicUrl>) -> Result<JwtOptions> {
    let audience = match (&issuer.audience[..], url) {
        ([], Some(url)) => Audience::Gateway(url.clone()),
        ([], None) => {
            let text = format!(
                "issuer {} has neither an audience nor a public_url",
                issuer.issuer
            );
            return Err(Error::new(ErrorKind::Config, text));
        }
        (several, _) => Audience::OneOf(several.to_vec()),
    };
    let mut options = JwtOptions::new(issuer.issuer.clone(), audience);
    options.algorithms.clone_from(&issuer.algorithms);
    options.jwks_url.clone_from(&issuer.jwks_url);
    options.user_claim.clone_from(&issuer.user_claim);
    options.teams_claim.clone_from(&issuer.teams_claim);
    options.teams.clone_from(&issuer.teams);
    options.prefix.clone_from(&issuer.prefix);
    options.scopes.clone_from(&issuer.scopes);
    Ok(options)
}
