//! A sign-in on its way: kept under the hash of its state, for ten minutes, used once.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::client::Client;
use super::errors::OAuthError;
use crate::credential::json::{SecretText, from_secret, to_secret};
use crate::credential::{
    CredentialStore, InstallationKey, Precondition, Record, RecordKey, RecordKind, Version,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{RecordName, ServerId, SlotName};
use crate::limits::SIGN_IN_LIFE;
use crate::seal::hex;

/// What has to be known when the browser comes back.
#[derive(Serialize, Deserialize)]
pub(super) struct Flow {
    pub(super) server: String,
    pub(super) owner: String,
    /// Who began it, as the caller named them.
    pub(super) for_whom: String,
    pub(super) redirect_uri: String,
    pub(super) verifier: SecretText,
    /// What whoever began it gave for the server's other slots.
    pub(super) values: BTreeMap<SlotName, SecretText>,
    pub(super) issuer: String,
    /// What the issuer calls itself, where that is another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) own_name: Option<String>,
    /// Whether nobody says what the issuer calls itself, so that its answers may name anybody.
    #[serde(default)]
    pub(super) is_nameless: bool,
    /// Whether the issuer names itself in each answer.
    pub(super) names_itself: bool,
    pub(super) token_endpoint: String,
    pub(super) client: Client,
    pub(super) resource: Option<String>,
    pub(super) scopes: Vec<String>,
}

/// For what and whom a flow is.
pub(super) struct About<'a> {
    pub(super) key: &'a InstallationKey,
    pub(super) for_whom: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) verifier: SecretText,
    pub(super) values: BTreeMap<SlotName, SecretText>,
}

impl Flow {
    pub(super) fn new(about: About<'_>, client: Client, issuer: String) -> Self {
        Self {
            server: about.key.server.to_string(),
            owner: about.key.owner.to_string(),
            for_whom: about.for_whom.to_owned(),
            redirect_uri: about.redirect_uri.to_owned(),
            verifier: about.verifier,
            values: about.values,
            issuer,
            own_name: None,
            is_nameless: false,
            names_itself: false,
            token_endpoint: String::new(),
            client,
            resource: None,
            scopes: Vec::new(),
        }
    }

    /// Whether this is a name of the issuer. Compared as text: a name that only means the same is another one.
    pub(super) fn is_issuer(&self, name: &str) -> bool {
        self.is_nameless || name == self.issuer || self.own_name.as_deref() == Some(name)
    }

    /// What it will install.
    pub(super) fn key(&self) -> Result<InstallationKey> {
        let server = ServerId::new(&self.server).ok();
        let owner = self.owner.parse().ok();
        let key = server.zip(owner);
        let key = key.ok_or_else(|| Error::new(ErrorKind::Internal, "a kept sign-in is broken"))?;
        Ok(InstallationKey {
            server: key.0,
            owner: key.1,
        })
    }

    /// Keeps it under its state.
    pub(super) async fn keep(&self, store: &dyn CredentialStore, state: &str) -> Result<()> {
        let value = to_secret(self);
        let value =
            value.map_err(|_| Error::new(ErrorKind::Internal, "a sign-in cannot be kept"))?;
        let record = Record::new(value).expiring(SystemTime::now() + SIGN_IN_LIFE);
        store.put(&key(state), record, Precondition::Absent).await?;
        Ok(())
    }

    /// That of a state.
    ///
    /// # Errors
    /// [`OAuthError::UnknownFlow`] where there is none, or none any more.
    pub(super) async fn find(store: &dyn CredentialStore, state: &str) -> Result<(Self, Version)> {
        let found = store.get(&key(state)).await?;
        let (record, version) = found.ok_or(OAuthError::UnknownFlow)?;
        let flow = from_secret(&record.value).map_err(|_| OAuthError::UnknownFlow)?;
        Ok((flow, version))
    }

    /// Uses it up: of several at once, one may go on.
    pub(super) async fn take(
        store: &dyn CredentialStore,
        state: &str,
        version: Version,
    ) -> Result<()> {
        let taken = store
            .delete(&key(state), Precondition::Unchanged(version))
            .await?;
        if taken {
            return Ok(());
        }
        Err(OAuthError::UnknownFlow.into())
    }
}

/// The state is as random as a key, so its plain hash tells nothing.
fn key(state: &str) -> RecordKey {
    let name = RecordName::new(hex(&Sha256::digest(state))).expect("hex is a record's name");
    RecordKey::new(RecordKind::Flow, name)
}
