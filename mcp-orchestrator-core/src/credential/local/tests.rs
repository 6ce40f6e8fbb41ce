use secrecy::ExposeSecret as _;

use super::file::ROWS;
use super::*;
use crate::error::ErrorKind;
use crate::id::RecordName;
use crate::seal::hex;

/// A temporary directory for a store and its key.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("credentials")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("credentials.key")
    }

    fn options(&self) -> LocalOptions {
        self.options_under(KeySource::File(self.key()))
    }

    fn options_under(&self, key: KeySource) -> LocalOptions {
        LocalOptions::new(self.folder(), key).with_environment(Environment::from_fn(|name| {
            let byte = name.strip_prefix("KEY_")?.parse().ok()?;
            Some(hex(&[byte; 32]).into())
        }))
    }

    async fn open(&self) -> LocalCredentials {
        LocalCredentials::open(self.options()).await.unwrap()
    }

    async fn refused(&self, options: LocalOptions) -> Error {
        LocalCredentials::open(options).await.unwrap_err()
    }

    fn store(&self) -> Vec<u8> {
        std::fs::read(self.folder().join("store.redb")).unwrap()
    }
}

fn key(name: &str) -> RecordKey {
    RecordKey::new(RecordKind::Installation, RecordName::new(name).unwrap())
}

async fn put(store: &LocalCredentials, name: &str, value: &str) -> Version {
    let key = key(name);
    let put = store.put(&key, Record::new(value), Precondition::Any);
    put.await.unwrap()
}

async fn value(store: &LocalCredentials, name: &str) -> Option<(String, Version)> {
    let found = store.get(&key(name)).await.unwrap();
    found.map(|(record, version)| (record.value.expose_secret().to_owned(), version))
}

#[cfg(feature = "test-util")]
#[tokio::test(flavor = "multi_thread")]
async fn local_store_upholds_the_store_contract() {
    let place = Place::new();
    let store = place.open().await;
    crate::testing::credential::store(&store).await;
    crate::testing::credential::shared(&store, &store).await;
    store.rekey(&KeySource::File(place.key())).await.unwrap();
    let store: Arc<dyn CredentialStore> = Arc::new(store);
    crate::testing::credential::store(&*store).await;
}

#[tokio::test]
async fn records_persist_across_restarts() {
    let place = Place::new();
    let store = place.open().await;
    let version = put(&store, "git/user/ann", "one").await;
    put(&store, "git/user/bob", "two").await;
    assert!(
        store
            .delete(&key("git/user/bob"), Precondition::Any)
            .await
            .unwrap()
    );
    drop(store);
    let store = place.open().await;
    assert_eq!(
        value(&store, "git/user/ann").await,
        Some(("one".into(), version.clone()))
    );
    assert_eq!(value(&store, "git/user/bob").await, None);
    let later = put(&store, "git/user/ann", "one").await;
    assert_ne!(later, version, "versions go on where they were");
}

#[tokio::test]
async fn second_opener_gets_an_error_naming_the_holder() {
    let place = Place::new();
    let first = place.open().await;
    let error = place.refused(place.options()).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let me = format!("held by process {} since 2", std::process::id());
    assert!(error.to_string().contains(&me), "{error}");
    drop(first);
    place.open().await;
}

#[tokio::test]
async fn wrong_key_is_an_error_and_changes_nothing() {
    let place = Place::new();
    let store = place.open().await;
    put(&store, "git/user/ann", "one").await;
    drop(store);
    let before = place.store();
    let error = place
        .refused(place.options_under(KeySource::Env("KEY_1".into())))
        .await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error
            .to_string()
            .contains("another key than that of environment variable KEY_1"),
        "{error}"
    );
    let right = std::fs::read(place.key()).unwrap();
    std::fs::write(place.key(), hex(&[1; 32])).unwrap();
    let error = place.refused(place.options()).await;
    assert!(error.to_string().contains("another key"), "{error}");
    assert!(before == place.store(), "the file was changed");
    std::fs::write(place.key(), right).unwrap();
    assert!(value(&place.open().await, "git/user/ann").await.is_some());
}

#[tokio::test]
async fn missing_key_is_not_recreated_for_an_existing_store() {
    let place = Place::new();
    drop(place.open().await);
    std::fs::remove_file(place.key()).unwrap();
    let error = place.refused(place.options()).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("put the key back"), "{error}");
    assert!(!place.key().exists());
}

#[tokio::test]
async fn store_file_reveals_no_name_or_value() {
    let place = Place::new();
    let store = place.open().await;
    put(&store, "git/user/canary-ann", "canary-value").await;
    assert!(!format!("{store:?}").contains("canary"));
    assert!(
        store
            .delete(&key("git/user/canary-ann"), Precondition::Any)
            .await
            .unwrap()
    );
    put(&store, "git/user/canary-bob", "canary-value").await;
    drop(store);
    let file = place.store();
    assert!(!file.windows(6).any(|part| part == b"canary"));
    assert!(!file.windows(4).any(|part| part == b"user"));
}

#[tokio::test]
async fn rekeyed_store_opens_only_with_the_new_key() {
    let place = Place::new();
    let store = place.open().await;
    let mut versions = Vec::new();
    for name in ["a", "b", "c"] {
        versions.push(put(&store, name, &format!("value of {name}")).await);
    }
    let (old, before) = (std::fs::read(place.key()).unwrap(), place.store());
    let old_key = key::read(&place.key()).unwrap().unwrap();
    let old_place = rows::place(&old_key, &key("a"));
    store.rekey(&KeySource::File(place.key())).await.unwrap();
    assert_ne!(
        std::fs::read(place.key()).unwrap(),
        old,
        "the key is a new one"
    );
    for (name, version) in ["a", "b", "c"].iter().zip(&versions) {
        assert_eq!(
            value(&store, name).await,
            Some((format!("value of {name}"), version.clone()))
        );
    }
    let next = put(&store, "d", "new").await;
    assert!(!versions.contains(&next));
    store.rekey(&KeySource::Env("KEY_2".into())).await.unwrap();
    drop(store);
    assert!(
        place
            .refused(place.options())
            .await
            .to_string()
            .contains("another key")
    );
    let env = || place.options_under(KeySource::Env("KEY_2".into()));
    let store = LocalCredentials::open(env()).await.unwrap();
    assert_eq!(value(&store, "d").await, Some(("new".into(), next)));
    assert_eq!(store.list(RecordKind::Installation).await.unwrap().len(), 4);
    // No row from before the rekeying remains in the file.
    let at = old_place.as_bytes();
    let has = |file: &[u8]| file.windows(at.len()).any(|part| part == at);
    assert!(has(&before) && !has(&place.store()));
}

#[tokio::test]
async fn interrupted_rekey_loses_nothing() {
    let place = Place::new();
    let store = place.open().await;
    put(&store, "a", "one").await;
    drop(store);
    let waiting = place.0.path().join("credentials.key.next");
    let (old_store, old_key) = (place.store(), place.0.path().join("old"));
    std::fs::copy(place.key(), &old_key).unwrap();

    // Interrupted after the key was written and before the store was.
    key::make(&waiting).unwrap();
    assert!(value(&place.open().await, "a").await.is_some());

    let store = place.open().await;
    store.rekey(&KeySource::File(place.key())).await.unwrap();
    drop(store);
    assert_ne!(place.store(), old_store);
    // Interrupted after the store was replaced and before the key file was.
    std::fs::rename(place.key(), &waiting).unwrap();
    std::fs::rename(old_key, place.key()).unwrap();
    assert!(value(&place.open().await, "a").await.is_some());
    assert!(!waiting.exists(), "the key took its place");
    assert!(value(&place.open().await, "a").await.is_some());
}

#[tokio::test]
async fn moved_rows_are_errors_and_hide_no_others() {
    let place = Place::new();
    let store = place.open().await;
    for name in ["a", "b", "c"] {
        put(&store, name, "canary").await;
    }
    drop(store);
    let secret = key::read(&place.key()).unwrap().unwrap();
    let (a, b) = (
        rows::place(&secret, &key("a")),
        rows::place(&secret, &key("b")),
    );
    let database = redb::Database::open(place.folder().join("store.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(ROWS).unwrap();
        let at = |place| (RecordKind::Installation.as_str(), place);
        let row = table.get(at(b.as_str())).unwrap().unwrap().value().to_vec();
        table.insert(at(a.as_str()), row.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let store = place.open().await;
    let error = store.get(&key("a")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("installation a cannot be decrypted"),
        "{error}"
    );
    assert!(!error.to_string().contains("canary"));
    let listed = store.list(RecordKind::Installation).await.unwrap();
    assert!(
        listed
            .iter()
            .map(|(key, ..)| key.name.as_str())
            .eq(["b", "c"])
    );
    assert!(store.rekey(&KeySource::Env("KEY_2".into())).await.is_err());
    put(&store, "a", "again").await;
    assert!(value(&store, "a").await.is_some(), "it can be written over");
}

#[tokio::test]
async fn foreign_file_is_rejected_and_left_unchanged() {
    let place = Place::new();
    std::fs::create_dir(place.folder()).unwrap();
    let path = place.folder().join("store.redb");
    std::fs::write(&path, "this is no store").unwrap();
    let error = place
        .refused(place.options_under(KeySource::Env("KEY_1".into())))
        .await;
    assert!(error.to_string().contains("store.redb"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"this is no store");
}
