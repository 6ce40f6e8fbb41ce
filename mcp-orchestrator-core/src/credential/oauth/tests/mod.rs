//! OAuth against a fake issuer and a fake protected server in this process.

mod clients;
mod deployed;
mod fake;
mod gone;
mod issuers;
mod providers;
mod renewal;
mod sign_in;
mod stores;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{AuthorizationAnswer, Authorizations, Begun, Finished, NewAuthorization, OAuthOptions};
use crate::credential::{
    CredentialStore, InstallationKey, Installations, MemoryCredentials, Owner,
};
use crate::error::Result;
use crate::fetch::AddressGuard;
use crate::id::ServerId;
use crate::server::ServerSpec;
use fake::Fake;

/// A gateway's sign-ins with their store and the fake servers.
struct Setting {
    fake: Fake,
    store: Arc<dyn CredentialStore>,
    authorizations: Authorizations,
}

impl Setting {
    async fn new() -> Self {
        Self::with(&["127.0.0.0/8"]).await
    }

    async fn with(allowed: &[&str]) -> Self {
        let store: Arc<dyn CredentialStore> = Arc::new(MemoryCredentials::new());
        let installations = Installations::new(Arc::clone(&store));
        Self {
            fake: Fake::start().await,
            authorizations: Authorizations::new(installations, options(allowed)),
            store,
        }
    }

    fn installations(&self) -> Installations {
        Installations::new(Arc::clone(&self.store))
    }

    fn server(&self) -> ServerSpec {
        let url = self.fake.server_url().parse().unwrap();
        ServerSpec::remote(ServerId::new("jira").unwrap(), url).with_oauth()
    }

    async fn begin(&self, server: &ServerSpec) -> Result<Begun> {
        let new = NewAuthorization {
            key: &key(),
            redirect_uri: "http://127.0.0.1:9/oauth/callback",
            for_whom: "ann",
            values: BTreeMap::new(),
        };
        self.authorizations.begin(server, new).await
    }

    /// Begins a sign-in, consents and completes it.
    async fn sign_in(&self, server: &ServerSpec) -> Result<Finished> {
        let begun = self.begin(server).await?;
        let (state, answer) = self.fake.agree(&begun.url);
        assert_eq!(state, begun.state);
        let finish = self.authorizations.finish(server, &state, answer, "ann");
        finish.await
    }
}

fn options(allowed: &[&str]) -> OAuthOptions {
    OAuthOptions {
        guard: AddressGuard::new(allowed.iter().map(|text| text.parse().unwrap())),
        timeout: Duration::from_secs(20),
        discovery_ttl: Duration::ZERO,
        ..OAuthOptions::default()
    }
}

fn key() -> InstallationKey {
    InstallationKey {
        server: ServerId::new("jira").unwrap(),
        owner: "user/ann".parse::<Owner>().unwrap(),
    }
}

fn answer(code: &str, issuer: Option<&str>) -> AuthorizationAnswer {
    AuthorizationAnswer {
        code: Some(code.into()),
        issuer: issuer.map(Into::into),
        error: None,
    }
}
