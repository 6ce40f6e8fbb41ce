//! The snapshot of installed credentials, by server and owner. It is sharded and a change copies one shard only, so
//! installing many credentials does not take quadratic time.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::credential::{
    Credential, CredentialChange, InstallationKey, Renewable, StoredCredential,
};
use crate::error::{Error, Result};
use crate::id::ServerId;
use crate::limits::MAX_INSTALLED_BACKLOG;

/// The installation of one owner.
#[derive(Clone)]
pub(super) enum Entry {
    Whole(Held),
    /// The installation cannot be read.
    Broken(Arc<Error>),
}

/// A credential with its renewal state.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) credential: Arc<Credential>,
    pub(super) renewal: Renewing,
    /// Non-secret settings stored with the values.
    pub(super) settings: Arc<BTreeMap<String, String>>,
}

/// How a credential is renewed.
#[derive(Clone)]
pub(super) enum Renewing {
    /// Never: its owner has to install it again.
    Never,
    /// Automatically, from this time on. `None`: only after the server rejects it.
    Due(Option<SystemTime>),
    /// No longer possible, for this reason.
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

/// Number of shards; a change copies one of them.
const SHARDS: usize = 256;

type Shard = HashMap<InstallationKey, Entry>;

/// All installed credentials, in shards that are replaced on change. Readers take no lock.
pub(super) struct Index {
    shards: Box<[ArcSwap<Shard>]>,
    servers: Servers,
    hasher: RandomState,
    writing: Mutex<()>,
    changes: broadcast::Sender<CredentialChange>,
    /// Number of entries that changes have copied.
    #[cfg(test)]
    pub(super) copied: AtomicUsize,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| ArcSwap::default()).collect(),
            servers: Servers::default(),
            hasher: RandomState::default(),
            writing: Mutex::default(),
            changes: broadcast::Sender::new(MAX_INSTALLED_BACKLOG),
            #[cfg(test)]
            copied: AtomicUsize::default(),
        }
    }
}

impl Entry {
    pub(super) fn whole(key: &InstallationKey, stored: StoredCredential) -> Self {
        Self::Whole(Held {
            renewal: stored.renewal.into(),
            settings: Arc::new(stored.settings),
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

/// Number of installations per server. Only the first installation of a server copies the map.
#[derive(Default)]
struct Servers(ArcSwap<foldhash::HashMap<ServerId, Arc<AtomicUsize>>>);

impl Servers {
    fn has_any(&self, server: &ServerId) -> bool {
        let all = self.0.load();
        all.get(server)
            .is_some_and(|count| count.load(Ordering::Acquire) > 0)
    }

    fn add(&self, server: &ServerId) {
        let all = self.0.load();
        if let Some(count) = all.get(server) {
            count.fetch_add(1, Ordering::Release);
            return;
        }
        let mut all = foldhash::HashMap::clone(&all);
        all.insert(server.clone(), Arc::new(AtomicUsize::new(1)));
        self.0.store(Arc::new(all));
    }

    fn remove(&self, server: &ServerId) {
        if let Some(count) = self.0.load().get(server) {
            count.fetch_sub(1, Ordering::Release);
        }
    }

    /// Adds the counts of servers that have none here.
    fn extend(&self, other: &Self) {
        let mut all = foldhash::HashMap::clone(&self.0.load());
        for (server, count) in other.0.load().iter() {
            all.insert(server.clone(), Arc::clone(count));
        }
        self.0.store(Arc::new(all));
    }

    fn replace(&self, with: Self) {
        self.0.store(with.0.into_inner());
    }
}

impl Index {
    fn place(&self, key: &InstallationKey) -> usize {
        usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or_default()
    }

    /// Returns `true` if any owner has an installation for this server. Never waits and does not allocate.
    pub(super) fn has_any(&self, server: &ServerId) -> bool {
        self.servers.has_any(server)
    }

    /// Returns an owner's installation for a server.
    pub(super) fn get(&self, key: &InstallationKey) -> Option<Entry> {
        self.shards[self.place(key)].load().get(key).cloned()
    }

    /// Returns all installations, ordered by server and owner.
    pub(super) fn all(&self) -> Vec<(InstallationKey, Entry)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.load();
            all.extend(
                shard
                    .iter()
                    .map(|(key, entry)| (key.clone(), entry.clone())),
            );
        }
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// Sets or removes an owner's installation and reports the change.
    pub(super) fn set(&self, key: &InstallationKey, entry: Option<&Entry>) {
        let _one_at_a_time = self.writing.lock();
        let shard = &self.shards[self.place(key)];
        let mut all = Shard::clone(&shard.load());
        #[cfg(test)]
        self.copied.fetch_add(all.len(), Ordering::Relaxed);
        let before = match entry {
            Some(entry) => all.insert(key.clone(), entry.clone()),
            None => all.remove(key),
        };
        // A server must count as installed for as long as a reader may find the installation.
        if before.is_none() && entry.is_some() {
            self.servers.add(&key.server);
        }
        shard.store(Arc::new(all));
        if before.is_some() && entry.is_none() {
            self.servers.remove(&key.server);
        }
        self.tell(key, before.as_ref(), entry);
    }

    /// Replaces all installations and reports what changed.
    pub(super) fn replace(&self, entries: Vec<(InstallationKey, Entry)>) {
        let _one_at_a_time = self.writing.lock();
        let mut after: Vec<Shard> = vec![Shard::new(); SHARDS];
        let servers = Servers::default();
        for (key, entry) in entries {
            let shard = &mut after[self.place(&key)];
            let server = key.server.clone();
            if shard.insert(key, entry).is_none() {
                servers.add(&server);
            }
        }
        self.servers.extend(&servers);
        for (shard, after) in self.shards.iter().zip(after) {
            let after = Arc::new(after);
            let before = shard.swap(Arc::clone(&after));
            for (key, entry) in after.iter() {
                self.tell(key, before.get(key), Some(entry));
            }
            for (key, entry) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
                self.tell(key, Some(entry), None);
            }
        }
        self.servers.replace(servers);
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
        // Fails only if there is no listener.
        let _ = self.changes.send(change);
    }

    /// Returns a stream of the changes made after this call. A listener that lags too far misses some; the instances
    /// concerned stop after their idle timeout.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> InstallationKey {
        InstallationKey {
            server: ServerId::new("jira").unwrap(),
            owner: format!("user/u{number}").parse().unwrap(),
        }
    }

    #[test]
    fn each_install_copies_only_part_of_the_index() {
        const COUNT: usize = 3000;
        let index = Index::default();
        let broken = Entry::broken(Error::new(crate::error::ErrorKind::Internal, "x"));
        for number in 0..COUNT {
            index.set(&key(number), Some(&broken));
        }
        let copied = index.copied.load(Ordering::Relaxed);
        // Copying the whole index each time would copy 4.5 million entries.
        assert!(copied < COUNT * 20, "{copied}");
        assert_eq!(index.all().len(), COUNT);
        index.set(&key(7), None);
        assert!(index.get(&key(7)).is_none() && index.get(&key(8)).is_some());
        index.replace(vec![(key(9), broken)]);
        assert_eq!(index.all().len(), 1);
    }

    #[test]
    fn server_has_installations_until_the_last_one_is_removed() {
        let index = Index::default();
        let broken = Entry::broken(Error::new(crate::error::ErrorKind::Internal, "x"));
        let jira = key(1).server;
        let is_installed = || index.has_any(&jira);
        assert!(!is_installed());
        for number in [1, 2, 2] {
            index.set(&key(number), Some(&broken));
        }
        index.set(&key(1), None);
        index.set(&key(1), None);
        assert!(is_installed());
        index.set(&key(2), None);
        assert!(!is_installed());
        index.replace(vec![(key(1), broken.clone()), (key(2), broken)]);
        index.set(&key(1), None);
        assert!(is_installed());
        index.replace(Vec::new());
        assert!(!is_installed());
    }
}
