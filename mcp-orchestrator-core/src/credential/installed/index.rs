//! What is installed, by server and owner: a snapshot that is replaced where it changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::broadcast;

use crate::credential::{
    Credential, CredentialChange, InstallationKey, Owner, Renewable, StoredCredential,
};
use crate::error::{Error, Result};
use crate::id::ServerId;

/// Changes that a slow listener may be behind.
const BEHIND: usize = 4096;

/// What an owner has.
#[derive(Clone)]
pub(super) enum Entry {
    Whole(Held),
    /// There is something that cannot be read.
    Broken(Arc<Error>),
}

/// A credential, and how it is renewed.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) credential: Arc<Credential>,
    pub(super) renewal: Renewing,
}

/// How a credential is renewed.
#[derive(Clone)]
pub(super) enum Renewing {
    /// Not at all: it is installed again.
    Never,
    /// By itself, from then on; `None`: once it is refused.
    Due(Option<SystemTime>),
    /// Not any more, for this reason.
    Ended(Arc<str>),
}

impl From<Option<Renewable>> for Renewing {
    fn from(renewable: Option<Renewable>) -> Self {
        match renewable {
            None => Self::Never,
            Some(Renewable {
                ended: Some(why), ..
            }) => Self::Ended(why.into()),
            Some(Renewable { due, .. }) => Self::Due(due),
        }
    }
}

/// What the owners of one server have.
pub(super) type Owners = HashMap<Owner, Entry>;

/// All that is installed.
pub(super) struct Index {
    now: ArcSwap<HashMap<ServerId, Arc<Owners>>>,
    writing: Mutex<()>,
    changes: broadcast::Sender<CredentialChange>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            now: ArcSwap::default(),
            writing: Mutex::default(),
            changes: broadcast::Sender::new(BEHIND),
        }
    }
}

impl Entry {
    pub(super) fn whole(key: &InstallationKey, stored: StoredCredential) -> Self {
        Self::Whole(Held {
            renewal: stored.renewal.into(),
            credential: Arc::new(Credential {
                owner: key.owner.clone(),
                revision: stored.revision,
                generation: stored.generation,
                values: stored.values,
                expires_at: stored.expires_at,
            }),
        })
    }

    pub(super) fn broken(error: Error) -> Self {
        Self::Broken(Arc::new(error))
    }

    pub(super) fn credential(&self) -> Result<Arc<Credential>> {
        self.held().map(|held| Arc::clone(&held.credential))
    }

    pub(super) fn held(&self) -> Result<&Held> {
        match self {
            Self::Whole(held) => Ok(held),
            Self::Broken(error) => Err(error.duplicate()),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => {
                let (one, other) = (&one.credential, &other.credential);
                (&one.revision, one.generation) == (&other.revision, other.generation)
            }
            (Self::Broken(_), Self::Broken(_)) => true,
            _ => false,
        }
    }
}

impl Index {
    /// What the owners of a server have; `None`: nobody has anything.
    pub(super) fn of(&self, server: &ServerId) -> Option<Arc<Owners>> {
        self.now.load().get(server).cloned()
    }

    /// From now on an owner has this.
    pub(super) fn set(&self, key: &InstallationKey, entry: Option<&Entry>) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = HashMap::clone(&self.now.load());
        let mut owners = all
            .get(&key.server)
            .map_or_else(Owners::new, |owners| Owners::clone(owners));
        let before = match entry {
            Some(entry) => owners.insert(key.owner.clone(), entry.clone()),
            None => owners.remove(&key.owner),
        };
        all.insert(key.server.clone(), Arc::new(owners));
        self.now.store(Arc::new(all));
        self.tell(key, before.as_ref(), entry);
    }

    /// From now on this is all.
    pub(super) fn replace(&self, entries: Vec<(InstallationKey, Entry)>) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: HashMap<ServerId, Owners> = HashMap::new();
        for (key, entry) in entries {
            all.entry(key.server).or_default().insert(key.owner, entry);
        }
        let after = all
            .into_iter()
            .map(|(server, owners)| (server, Arc::new(owners)));
        let after = Arc::new(after.collect::<HashMap<_, _>>());
        let before = self.now.swap(Arc::clone(&after));
        let find = |all: &HashMap<ServerId, Arc<Owners>>, key: &InstallationKey| {
            all.get(&key.server)?.get(&key.owner).cloned()
        };
        let mut keys: Vec<InstallationKey> = Vec::new();
        for (server, owners) in before.iter().chain(after.iter()) {
            keys.extend(owners.keys().map(|owner| InstallationKey {
                server: server.clone(),
                owner: owner.clone(),
            }));
        }
        keys.sort();
        keys.dedup();
        for key in keys {
            self.tell(
                &key,
                find(&before, &key).as_ref(),
                find(&after, &key).as_ref(),
            );
        }
    }

    fn tell(&self, key: &InstallationKey, before: Option<&Entry>, now: Option<&Entry>) {
        let same = match (before, now) {
            (None, None) => true,
            (Some(before), Some(now)) => before.is(now),
            _ => false,
        };
        if same {
            return;
        }
        let change = CredentialChange {
            server: key.server.clone(),
            owner: key.owner.clone(),
            now: now.and_then(|entry| entry.credential().ok()),
        };
        // Fails where nobody listens.
        let _ = self.changes.send(change);
    }

    /// Each change from now on. Who is too far behind has lost some: instances of theirs go to rest by themselves.
    pub(super) fn changes(&self) -> BoxStream<'static, CredentialChange> {
        let next = |mut changes: broadcast::Receiver<CredentialChange>| async move {
            loop {
                match changes.recv().await {
                    Ok(change) => return Some((change, changes)),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "changes of credentials were missed");
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        };
        stream::unfold(self.changes.subscribe(), next).boxed()
    }
}
