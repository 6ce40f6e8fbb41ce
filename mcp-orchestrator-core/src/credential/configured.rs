//! The organization's credentials, as the configuration tells them: each slot from a source of its own.
//!
//! Nothing is stored, so the revision is a keyed hash over the values: a changed variable, file or Secret is a new revision,
//! and so a new instance.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::sources::{Environment, SecretReader, Secrets, SlotSources, Source, SourceError};
use super::{Credential, CredentialRequest, CredentialResolver, Generation, Owner, Revision};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ServerId, SlotName};
use crate::seal::StateKey;
use crate::server::CredentialSlot;

/// Resolves the slots that are configured, as the organization's.
///
/// A server none of whose slots has a source is not its own, neither is a rule that pins another owner.
pub struct ConfiguredResolver {
    sources: ArcSwap<SlotSources>,
    environment: Environment,
    secrets: Option<Arc<dyn SecretReader>>,
    key: Arc<StateKey>,
}

impl ConfiguredResolver {
    /// A resolver of these slots. `key` keys the hash that serves as revision.
    pub fn new(key: Arc<StateKey>, sources: SlotSources) -> Self {
        Self {
            sources: ArcSwap::from_pointee(sources),
            environment: Environment::process(),
            secrets: None,
            key,
        }
    }

    /// The same, reading variables elsewhere.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// The same, with Secrets of a cluster.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Arc<dyn SecretReader>) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// From now on these sources, as after a reload of the configuration.
    pub fn set_sources(&self, sources: SlotSources) {
        self.sources.store(Arc::new(sources));
    }

    async fn values(
        &self,
        server: &ServerId,
        wanted: Vec<(CredentialSlot, Source)>,
    ) -> Result<BTreeMap<SlotName, SecretString>> {
        let environment = self.environment.clone();
        let secrets = self.secrets(server, &wanted).await?;
        if !wanted.iter().any(|(_, source)| source.blocks()) {
            return read_all(server, &wanted, &environment, &secrets);
        }
        let server = server.clone();
        let read =
            tokio::task::spawn_blocking(move || read_all(&server, &wanted, &environment, &secrets));
        read.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "reading a credential was broken off")
                .with_source(error)
        })?
    }

    /// The Secrets that these slots name, each read once, so that keys of one are of one state of it.
    async fn secrets(
        &self,
        server: &ServerId,
        wanted: &[(CredentialSlot, Source)],
    ) -> Result<Secrets> {
        let mut secrets = Secrets::new();
        for (slot, source) in wanted {
            let Source::Secret(place) = source else {
                continue;
            };
            if secrets.contains_key(&place.name) {
                continue;
            }
            let reader = self.secrets.as_ref().ok_or_else(|| {
                let message = format!(
                    "slot {} of server {server} is {source}, and there is no cluster here to read it from",
                    slot.name
                );
                Error::new(ErrorKind::Config, message).with_server(server)
            })?;
            let read = reader.read(&place.name).await;
            let read = read.map_err(|error| error.with_server(server))?;
            secrets.extend(read.map(|data| (place.name.clone(), data)));
        }
        Ok(secrets)
    }

    fn revision(&self, server: &ServerId, values: &BTreeMap<SlotName, SecretString>) -> Revision {
        let pairs = values
            .iter()
            .flat_map(|(slot, value)| [slot.as_str().as_bytes(), value.expose_secret().as_bytes()]);
        let parts = std::iter::once(server.as_str().as_bytes()).chain(pairs);
        Revision::new(self.key.digest("credential revision", parts).hex(16))
    }
}

impl fmt::Debug for ConfiguredResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfiguredResolver")
            .field("sources", &self.sources.load())
            .finish_non_exhaustive()
    }
}

// === impl CredentialResolver ===

#[async_trait]
impl CredentialResolver for ConfiguredResolver {
    async fn resolve(&self, request: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        let mut owners = request.rule.owners(request.principal);
        if !owners.any(|owner| owner == Owner::Organization) {
            return Ok(None);
        }
        let server = &request.server.id;
        let Some(wanted) = wanted(&self.sources.load(), request)? else {
            return Ok(None);
        };
        let values = self.values(server, wanted).await?;
        let revision = self.revision(server, &values);
        if request
            .rejected
            .is_some_and(|(refused, _)| *refused == revision)
        {
            let message =
                format!("server {server} refused the configured credential: give it another one");
            return Err(Error::new(ErrorKind::CredentialRejected, message).with_server(server));
        }
        Ok(Some(Arc::new(Credential {
            owner: Owner::Organization,
            revision,
            generation: Generation::default(),
            values,
            expires_at: None,
        })))
    }
}

/// The server's slots and their sources; `None` where it has none here.
fn wanted(
    sources: &SlotSources,
    request: CredentialRequest<'_>,
) -> Result<Option<Vec<(CredentialSlot, Source)>>> {
    let server = request.server;
    let Some(configured) = sources.get(&server.id) else {
        return Ok(None);
    };
    if !server
        .slots
        .iter()
        .any(|slot| configured.contains_key(&slot.name))
    {
        return Ok(None);
    }
    let mut wanted = Vec::with_capacity(server.slots.len());
    for slot in &server.slots {
        match configured.get(&slot.name) {
            Some(source) => wanted.push((slot.clone(), source.clone())),
            None if slot.required => {
                return Err(missing(&server.id, slot, "no source is configured for it"));
            }
            None => {}
        }
    }
    Ok(Some(wanted))
}

fn read_all(
    server: &ServerId,
    wanted: &[(CredentialSlot, Source)],
    environment: &Environment,
    secrets: &Secrets,
) -> Result<BTreeMap<SlotName, SecretString>> {
    let mut values = BTreeMap::new();
    for (slot, source) in wanted {
        match source.read(environment, secrets) {
            Ok(Some(value)) => {
                values.insert(slot.name.clone(), value);
            }
            Ok(None) if slot.required => {
                let why = format!(
                    "{source} is not set; set it where the gateway runs, or run `mcp-orchestrator install {server}`"
                );
                return Err(missing(server, slot, &why));
            }
            Ok(None) => {}
            Err(error) => return Err(unreadable(server, slot, source, error)),
        }
    }
    Ok(values)
}

fn missing(server: &ServerId, slot: &CredentialSlot, why: &str) -> Error {
    let message = format!(
        "server {server} needs a value for slot {}: {why}",
        slot.name
    );
    Error::new(ErrorKind::CredentialMissing, message).with_server(server)
}

fn unreadable(
    server: &ServerId,
    slot: &CredentialSlot,
    source: &Source,
    error: SourceError,
) -> Error {
    let message = format!(
        "slot {} of server {server} cannot be read from {source}",
        slot.name
    );
    Error::new(ErrorKind::Config, message)
        .with_server(server)
        .with_source(error)
}

#[cfg(test)]
mod tests;
