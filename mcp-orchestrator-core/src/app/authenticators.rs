//! Builds the authenticators and sign-ins of the configured issuers.

use std::sync::Arc;

use crate::auth::{Audience, JwtAuthenticator, JwtOptions, PublicUrl, SignIn};
use crate::config::{AuthSettings, IssuerSettings, SignInClient};
use crate::error::{Error, ErrorKind, Result};
use crate::outbound::Connector;

impl AuthSettings {
    /// Returns one authenticator per issuer, in order. An authenticator of `before` with equal options is reused,
    /// because it already knows the keys of its issuer. Makes no requests.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if an issuer cannot be used.
    pub fn issuer_authenticators(
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
    pub fn sign_ins(&self, connector: &Connector) -> Result<Vec<Arc<SignIn>>> {
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
