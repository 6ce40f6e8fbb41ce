//! A sign-in in progress: stored under the hash of its state, valid for ten minutes, usable once.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::client::Client;
use super::errors::OAuthError;
use crate::credential::{
    CredentialStore, InstallationKey, Precondition, Record, RecordKey, RecordKind, Version,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{RecordName, ServerId, SlotName};
use crate::limits::SIGN_IN_LIFE;
use crate::seal::hex;
use crate::secret_json::{SecretText, from_secret, to_secret};

/// What must be known when the browser comes back.
#[derive(Serialize, Deserialize)]
pub(super) struct Flow {
    pub(super) server: String,
    pub(super) owner: String,
    /// The caller that began it, as named by the gateway.
    pub(super) for_whom: String,
    pub(super) redirect_uri: String,
    pub(super) verifier: SecretText,
    /// Values given at the start for the server's other slots.
    pub(super) values: BTreeMap<SlotName, SecretText>,
    pub(super) issuer: String,
    /// The name that the issuer declares, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) own_name: Option<String>,
    /// Whether the issuer's declared name is unknown, so that `iss` in a response cannot be checked.
    #[serde(default)]
    pub(super) is_nameless: bool,
    /// Whether the issuer declares that it sends `iss` in each response.
    pub(super) names_itself: bool,
    pub(super) token_endpoint: String,
    pub(super) client: Client,
    pub(super) resource: Option<String>,
    pub(super) scopes: Vec<String>,
}

/// What a flow is for.
pub(super) struct FlowPurpose<'a> {
    pub(super) key: &'a InstallationKey,
    pub(super) for_whom: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) verifier: SecretText,
    pub(super) values: BTreeMap<SlotName, SecretText>,
}

impl Flow {
    pub(super) fn new(about: FlowPurpose<'_>, client: Client, issuer: String) -> Self {
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

    /// Returns `true` if `name` is a name of the issuer. Names are compared as text: an equivalent URL is a different
    /// name.
    pub(super) fn is_issuer(&self, name: &str) -> bool {
        self.is_nameless || name == self.issuer || self.own_name.as_deref() == Some(name)
    }

    /// Returns the installation that the flow is for.
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

    /// Stores the flow under its state.
    pub(super) async fn keep(&self, store: &dyn CredentialStore, state: &str) -> Result<()> {
        let value = to_secret(self);
        let value =
            value.map_err(|_| Error::new(ErrorKind::Internal, "a sign-in cannot be kept"))?;
        let record = Record::new(value).expiring(SystemTime::now() + SIGN_IN_LIFE);
        store.put(&key(state), record, Precondition::Absent).await?;
        Ok(())
    }

    /// Returns the flow with this state.
    ///
    /// # Errors
    /// [`OAuthError::UnknownFlow`] if it does not exist or has expired.
    pub(super) async fn find(store: &dyn CredentialStore, state: &str) -> Result<(Self, Version)> {
        let found = store.get(&key(state)).await?;
        let (record, version) = found.ok_or(OAuthError::UnknownFlow)?;
        let flow = from_secret(&record.value).map_err(|_| OAuthError::UnknownFlow)?;
        Ok((flow, version))
    }

    /// Uses up the flow. Of several concurrent calls exactly one succeeds.
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

/// Returns the key of a state. States are random, so an unsalted hash reveals nothing.
fn key(state: &str) -> RecordKey {
    let name = RecordName::new(hex(&Sha256::digest(state))).expect("hex is a record's name");
    RecordKey::new(RecordKind::Flow, name)
}
