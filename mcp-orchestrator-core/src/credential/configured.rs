//! The organization's credentials from the configuration: each slot has its own source.
//!
//! Nothing is stored, so the revision is a keyed hash of the values: a changed variable, file or Secret yields a new
//! revision and so a new instance.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::sources::{Environment, SecretReader, Secrets, SlotSources, Source, SourceError};
use super::{
    Credential, CredentialRequest, CredentialResolver, Generation, InForce, Owner, Revision,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ServerId, SlotName};
use crate::seal::StateKey;
use crate::server::{CredentialSlot, ServerSpec};

/// How long a value read earlier is trusted by `in_force` while there are no calls; reading a Secret costs an API
/// request.
const RECHECK_INTERVAL: Duration = Duration::from_mins(5);

/// Resolves configured slots as the organization's credential.
///
/// Returns `None` for a server without a configured source, and for a rule that excludes the organization.
pub struct ConfiguredResolver {
    sources: ArcSwap<SlotSources>,
    environment: Environment,
    secrets: Option<Arc<dyn SecretReader>>,
    key: Arc<StateKey>,
    /// The last revision read for each server, and when it was read.
    read: Mutex<HashMap<ServerId, (Instant, InForce)>>,
}

impl ConfiguredResolver {
    /// Creates a resolver of these slots. `key` keys the hash that serves as the revision.
    pub fn new(key: Arc<StateKey>, sources: SlotSources) -> Self {
        Self {
            sources: ArcSwap::from_pointee(sources),
            environment: Environment::process(),
            secrets: None,
            key,
            read: Mutex::default(),
        }
    }

    /// Reads variables from `environment` instead of the process environment.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Reads Secrets of a cluster through `secrets`.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Arc<dyn SecretReader>) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// Replaces the sources, as after a configuration reload.
    pub fn set_sources(&self, sources: SlotSources) {
        self.sources.store(Arc::new(sources));
        self.read_last().clear();
    }

    fn read_last(&self) -> MutexGuard<'_, HashMap<ServerId, (Instant, InForce)>> {
        self.read.lock()
    }

    fn note(&self, server: &ServerId, found: &InForce) {
        let found = (Instant::now(), found.clone());
        self.read_last().insert(server.clone(), found);
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

    /// Reads the Secrets that these slots name. Each is read once, so that all its keys come from the same version.
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
        let Some(wanted) = wanted(&self.sources.load(), request.server)? else {
            return Ok(None);
        };
        let values = self.values(server, wanted).await?;
        let revision = self.revision(server, &values);
        self.note(server, &InForce::Revision(revision.clone()));
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

    fn covers(&self, request: &CredentialRequest<'_>) -> bool {
        sources_of(&self.sources.load(), request.server).is_some()
    }

    async fn in_force(&self, server: &ServerSpec, owner: &Owner) -> InForce {
        if *owner != Owner::Organization {
            return InForce::Nothing;
        }
        let wanted = match wanted(&self.sources.load(), server) {
            Ok(Some(wanted)) => wanted,
            Ok(None) => return InForce::Nothing,
            Err(_) => return InForce::Unknown,
        };
        let last = self.read_last().get(&server.id).cloned();
        if let Some((_, found)) = last.filter(|(at, _)| at.elapsed() < RECHECK_INTERVAL) {
            return found;
        }
        let found = match self.values(&server.id, wanted).await {
            Ok(values) => InForce::Revision(self.revision(&server.id, &values)),
            // If the variable, file or Secret was removed, so was the credential.
            Err(error) if error.kind() == ErrorKind::CredentialMissing => InForce::Nothing,
            Err(_) => InForce::Unknown,
        };
        self.note(&server.id, &found);
        found
    }
}

/// Returns the sources of a server if one of its slots has one.
fn sources_of<'a>(
    sources: &'a SlotSources,
    server: &ServerSpec,
) -> Option<&'a BTreeMap<SlotName, Source>> {
    let configured = sources.get(&server.id)?;
    let mut slots = server.slots.iter();
    slots
        .any(|slot| configured.contains_key(&slot.name))
        .then_some(configured)
}

/// Returns the server's slots with their sources, or `None` if none of its slots is configured here.
fn wanted(
    sources: &SlotSources,
    server: &ServerSpec,
) -> Result<Option<Vec<(CredentialSlot, Source)>>> {
    let Some(configured) = sources_of(sources, server) else {
        return Ok(None);
    };
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
