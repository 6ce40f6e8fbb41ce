//! A store that is unavailable while a token is renewed.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::renewal::Process;
use super::*;
use crate::credential::oauth::grant::Grant;
use crate::credential::{
    Generation, Listed, Precondition, Record, RecordKey, RecordKind, StoreChange, Version,
};
use crate::error::{Error, ErrorKind};

/// A store in memory that can become unavailable.
#[derive(Debug)]
struct Flaky {
    inner: MemoryCredentials,
    /// Makes the store unavailable at the next write of an installation.
    trips: AtomicBool,
    away: AtomicBool,
}

impl Flaky {
    fn check(&self) -> Result<()> {
        if self.away.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "the store is away"));
        }
        Ok(())
    }
}

#[async_trait]
impl CredentialStore for Flaky {
    async fn get(&self, key: &RecordKey) -> Result<Option<(Record, Version)>> {
        self.check()?;
        self.inner.get(key).await
    }

    async fn put(
        &self,
        key: &RecordKey,
        record: Record,
        precondition: Precondition,
    ) -> Result<Version> {
        if key.kind == RecordKind::Installation && self.trips.swap(false, Ordering::Relaxed) {
            self.away.store(true, Ordering::Relaxed);
        }
        self.check()?;
        self.inner.put(key, record, precondition).await
    }

    async fn delete(&self, key: &RecordKey, precondition: Precondition) -> Result<bool> {
        self.check()?;
        self.inner.delete(key, precondition).await
    }

    async fn list(&self, kind: RecordKind) -> Result<Vec<Listed>> {
        self.check()?;
        self.inner.list(kind).await
    }

    fn watch(&self) -> BoxStream<'static, Result<StoreChange>> {
        self.inner.watch()
    }
}

/// Returns a user with an expired token, on a store that becomes unavailable when the renewed token is written.
async fn away() -> (Setting, Arc<Flaky>, Process) {
    let mut setting = Setting::new().await;
    let store = Arc::new(Flaky {
        inner: MemoryCredentials::new(),
        trips: AtomicBool::new(false),
        away: AtomicBool::new(false),
    });
    setting.store = Arc::<Flaky>::clone(&store);
    setting.authorizations =
        Authorizations::new(setting.installations(), options(&["127.0.0.0/8"]));
    setting.fake.state().life = 0;
    let finished = setting.sign_in(&setting.server()).await.unwrap();
    let installations = setting.installations();
    installations
        .put(&key(), &finished.credential, Precondition::Absent)
        .await
        .unwrap();
    setting.fake.state().life = 3600;
    let process = Process::on(&setting).await;
    store.trips.store(true, Ordering::Relaxed);
    (setting, store, process)
}

#[tokio::test(start_paused = true)]
async fn renewed_token_is_used_during_a_store_outage_and_written_afterwards() {
    let (setting, store, process) = away().await;
    let server = setting.server();
    assert_eq!(process.token(&server).await, "access-2");
    // Longer than the lease of a claim.
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(process.token(&server).await, "access-2");
    assert_eq!(setting.fake.count("refresh"), 1);
    let mut changes = setting.store.watch();
    store.away.store(false, Ordering::Relaxed);
    while let Some(change) = futures_util::StreamExt::next(&mut changes).await {
        if matches!(change, Ok(StoreChange::Put(put)) if put == RecordKey::from(&key())) {
            break;
        }
    }
    let (stored, _) = setting.installations().get(&key()).await.unwrap().unwrap();
    assert_eq!(stored.generation, Generation(1));
    let grant = Grant::of(&stored).unwrap().unwrap();
    assert_eq!(grant.refresh_token(), Some("refresh-2"));
    // A process that starts later continues from the stored token.
    let later = Process::on(&setting).await;
    assert_eq!(later.token(&server).await, "access-2");
    assert_eq!(setting.fake.count("refresh"), 1);
}

#[tokio::test(start_paused = true)]
async fn changes_made_during_a_store_outage_are_not_overwritten() {
    let (setting, store, process) = away().await;
    let server = setting.server();
    assert_eq!(process.token(&server).await, "access-2");
    // Another process removes the installation while this one cannot write.
    let record = RecordKey::from(&key());
    store
        .inner
        .delete(&record, Precondition::Any)
        .await
        .unwrap();
    store.away.store(false, Ordering::Relaxed);
    process.renewals.finish(Duration::from_mins(1)).await;
    assert!(setting.installations().get(&key()).await.unwrap().is_none());
}
