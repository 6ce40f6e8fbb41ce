//! Resolves installed credentials from a snapshot of the store.
//!
//! Reads of the snapshot neither lock nor wait. It follows the store: changes by other processes are visible as soon
//! as the store reports them, changes by this process at once (see [`InstalledResolver::seen`]).

mod explain;
mod failures;
mod index;
mod look;
mod renew;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt as _};
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::failures::Failures;
use self::index::{Entry, Held, Index, Renewing};
use self::look::CredentialLookup;
use super::{
    Credential, CredentialChange, CredentialRequest, CredentialResolver, CredentialRule, InForce,
    InstallationKey, Installations, Owner, RecordKind, Renewal, StoreChange,
};
use crate::error::{Error, ErrorKind, Result};
use crate::server::ServerSpec;

/// Delay before a store that failed is read again.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// The renewal implementation, if any.
type MaybeRenewal = Option<Arc<dyn Renewal>>;

/// Resolves installed credentials in the order of the route's rule: the first owner with an installation decides,
/// even if it has expired. If no owner has one, the resolver returns `None`, and the configured credentials may
/// follow.
pub struct InstalledResolver {
    installations: Installations,
    index: Index,
    /// Held while a change of the store is applied, so that the last read wins.
    taking: tokio::sync::Mutex<()>,
    renewal: MaybeRenewal,
    /// The installations being renewed before they expire.
    ahead: Mutex<HashSet<InstallationKey>>,
    failures: Failures,
    tasks: TaskTracker,
    own: Weak<Self>,
    _following: DropGuard,
}

impl InstalledResolver {
    /// Reads all installations and follows the store's changes until dropped. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open(installations: Installations, tasks: &TaskTracker) -> Result<Arc<Self>> {
        Self::open_with(installations, None, tasks).await
    }

    /// Same as [`open`](Self::open), but renews credentials before they expire and when the server rejects them.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open_renewing(
        installations: Installations,
        renewal: Arc<dyn Renewal>,
        tasks: &TaskTracker,
    ) -> Result<Arc<Self>> {
        Self::open_with(installations, Some(renewal), tasks).await
    }

    async fn open_with(
        installations: Installations,
        renewal: MaybeRenewal,
        tasks: &TaskTracker,
    ) -> Result<Arc<Self>> {
        let changes = installations.store().watch();
        let ended = CancellationToken::new();
        let following = ended.clone();
        let resolver = Arc::new_cyclic(|own| Self {
            installations,
            index: Index::default(),
            taking: tokio::sync::Mutex::default(),
            renewal,
            ahead: Mutex::default(),
            failures: Failures::default(),
            tasks: tasks.clone(),
            own: Weak::clone(own),
            _following: ended.drop_guard(),
        });
        resolver.read_all().await?;
        let follow = follow(Arc::downgrade(&resolver), changes);
        tasks.spawn(following.run_until_cancelled_owned(follow));
        Ok(resolver)
    }

    /// Returns the store's installations.
    pub fn installations(&self) -> &Installations {
        &self.installations
    }

    /// Applies the store's current state of this key. Call it after writing the key, so that the next call uses the
    /// new state.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn seen(&self, key: &InstallationKey) -> Result<()> {
        let _turn = self.taking.lock().await;
        let entry = match self.installations.get(key).await {
            Ok(Some((stored, _))) => Some(Entry::whole(key, stored)),
            Ok(None) => {
                self.failures.forget(key);
                None
            }
            // A broken installation still belongs to its owner: no other owner's credential is used in its place.
            Err(error) if error.kind() == ErrorKind::Internal => Some(Entry::broken(error)),
            Err(error) => return Err(error),
        };
        self.index.set(key, entry.as_ref());
        Ok(())
    }

    async fn read_all(&self) -> Result<()> {
        let _turn = self.taking.lock().await;
        let mut all = Vec::new();
        for (key, installed) in self.installations.list_by_key().await? {
            let entry = match installed {
                Ok((stored, _)) => Entry::whole(&key, stored),
                // A broken installation still belongs to its owner: no other owner's credential is used in its place.
                Err(error) => {
                    tracing::error!(server = %key.server, owner = %key.owner, %error, "an installation cannot be read");
                    Entry::broken(error)
                }
            };
            all.push((key, entry));
        }
        self.index.replace(all);
        Ok(())
    }

    /// Returns all installations in the snapshot; the value is an error if an installation cannot be read.
    pub(crate) fn known(&self) -> Vec<(InstallationKey, Result<Known>)> {
        let all = self.index.all().into_iter();
        all.map(|(key, entry)| {
            let known = entry.held().map(|held| Known {
                credential: Arc::clone(&held.credential),
                settings: Arc::clone(&held.settings),
                renewal: held.renewal.clone(),
            });
            (key, known)
        })
        .collect()
    }

    /// Returns the first owner with an installation, and the installation.
    fn first(&self, request: &CredentialRequest<'_>) -> Option<(Owner, Entry)> {
        let mut owners = request.rule.owners(request.principal);
        owners.find_map(|owner| {
            let key = InstallationKey {
                server: request.server.id.clone(),
                owner,
            };
            let entry = self.index.get(&key)?;
            Some((key.owner, entry))
        })
    }

    fn decide(&self, request: &CredentialRequest<'_>) -> Result<Option<Held>> {
        let Some((owner, entry)) = self.first(request) else {
            return match request.rule {
                // The configuration may hold the organization's credential.
                CredentialRule::Pinned(owner) if *owner != Owner::Organization => {
                    Err(not_installed(request.server, owner))
                }
                _ => Ok(None),
            };
        };
        let held = entry.held()?;
        let server = request.server;
        for slot in server.slots.iter().filter(|slot| slot.required) {
            if !held.credential.values.contains_key(&slot.name) {
                return Err(incomplete(server, &owner, slot.name.as_str()));
            }
        }
        Ok(Some(held.clone()))
    }

    fn look(&self, request: &CredentialRequest<'_>) -> Result<CredentialLookup> {
        Ok(match self.decide(request)? {
            None => CredentialLookup::Nothing,
            Some(held) if held.is_good(request) => CredentialLookup::Good(held),
            Some(held) => CredentialLookup::Bad(held),
        })
    }
}

/// An installation in the resolver's snapshot.
pub(crate) struct Known {
    pub(crate) credential: Arc<Credential>,
    pub(crate) settings: Arc<BTreeMap<String, String>>,
    renewal: Renewing,
}

impl Known {
    /// Returns whether it is renewed without its owner. `Err` holds the reason why it cannot be renewed any more.
    pub(crate) fn is_renewed(&self) -> Result<bool, &str> {
        match &self.renewal {
            Renewing::Never => Ok(false),
            Renewing::Due(_) => Ok(true),
            Renewing::Ended(why) => Err(why),
        }
    }
}

/// Follows the store's changes as long as the resolver is alive.
async fn follow(
    resolver: Weak<InstalledResolver>,
    mut changes: BoxStream<'static, Result<StoreChange>>,
) {
    while let Some(change) = changes.next().await {
        let Some(resolver) = resolver.upgrade() else {
            return;
        };
        let key = match change {
            Ok(StoreChange::Put(key) | StoreChange::Deleted(key)) => Some(key),
            Err(error) => {
                tracing::info!(%error, "installations are read again");
                None
            }
        };
        if key
            .as_ref()
            .is_some_and(|key| key.kind != RecordKind::Installation)
        {
            continue;
        }
        let key = key.map(|key| InstallationKey::try_from(&key)).transpose();
        let taken = match key {
            Ok(Some(key)) => resolver.seen(&key).await,
            Ok(None) => resolver.read_all().await,
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            tracing::warn!(%error, "a change of an installation was not taken over");
            tokio::time::sleep(RETRY_INTERVAL).await;
            // Reads everything, since it is unknown what was missed.
            let _ = resolver.read_all().await.inspect_err(|error| {
                tracing::warn!(%error, "installations cannot be read");
            });
        }
    }
}

fn not_installed(server: &ServerSpec, owner: &Owner) -> Error {
    let text = format!(
        "server {} is called with the credential of {owner}, and none is installed",
        server.id
    );
    Error::new(ErrorKind::CredentialMissing, text).with_server(&server.id)
}

fn incomplete(server: &ServerSpec, owner: &Owner, slot: &str) -> Error {
    let text = format!(
        "server {} needs a value for slot {slot}, and the installation of {owner} has none: install it again",
        server.id
    );
    Error::new(ErrorKind::CredentialMissing, text).with_server(&server.id)
}

fn expired(server: &ServerSpec, owner: &Owner) -> Error {
    let text = format!(
        "the credential of {owner} for server {} has expired: install it again",
        server.id
    );
    Error::new(ErrorKind::CredentialExpired, text).with_server(&server.id)
}

impl fmt::Debug for InstalledResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstalledResolver")
            .field("installations", &self.installations)
            .finish_non_exhaustive()
    }
}

// === impl CredentialResolver ===

#[async_trait]
impl CredentialResolver for InstalledResolver {
    async fn resolve(&self, request: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        match self.look(&request)? {
            CredentialLookup::Good(held) => {
                self.renew_ahead(request.server, &held);
                Ok(Some(held.credential))
            }
            // As far as is known, this server accepts calls without a token.
            CredentialLookup::Nothing if request.rejected.is_none() && request.server.is_open() => {
                Ok(None)
            }
            look => Box::pin(self.settled(&request, look)).await,
        }
    }

    fn covers(&self, request: &CredentialRequest<'_>) -> bool {
        let pinned_to_another =
            matches!(request.rule, CredentialRule::Pinned(owner) if *owner != Owner::Organization);
        pinned_to_another
            || request.rejected.is_some()
            || !request.server.is_open()
            || self.index.has_any(&request.server.id)
    }

    async fn wanted(
        &self,
        server: &ServerSpec,
        credential: &Credential,
        scopes: &[String],
    ) -> Result<Option<bool>> {
        let key = InstallationKey {
            server: server.id.clone(),
            owner: credential.owner.clone(),
        };
        let own = self.index.get(&key).is_some_and(|entry| {
            let held = entry.held();
            held.is_ok_and(|held| held.credential.revision == credential.revision)
        });
        let Some(renewal) = self.renewal.as_ref().filter(|_| own) else {
            return Ok(None);
        };
        renewal.wanted(&key, scopes).await.map(Some)
    }

    async fn in_force(&self, server: &ServerSpec, owner: &Owner) -> InForce {
        let key = InstallationKey {
            server: server.id.clone(),
            owner: owner.clone(),
        };
        let entry = self.index.get(&key);
        match entry.as_ref().map(Entry::held) {
            Some(Ok(held)) => InForce::Revision(held.credential.revision.clone()),
            Some(Err(_)) => InForce::Unknown,
            None => InForce::Nothing,
        }
    }

    fn changes(&self) -> BoxStream<'static, CredentialChange> {
        self.index.changes()
    }

    fn explain(&self, request: CredentialRequest<'_>) -> Vec<String> {
        let mut steps = Vec::new();
        for owner in request.rule.owners(request.principal) {
            let key = InstallationKey {
                server: request.server.id.clone(),
                owner: owner.clone(),
            };
            let Some(entry) = self.index.get(&key) else {
                steps.push(format!("{owner}: nothing installed, passed over"));
                continue;
            };
            steps.push(match entry.held() {
                Ok(held) => self.told(request.server, held),
                Err(error) => format!("{owner}: {error}; it decides all the same"),
            });
            break;
        }
        steps
    }
}

#[cfg(test)]
mod tests;
