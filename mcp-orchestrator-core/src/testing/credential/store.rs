//! The contract suite of [`CredentialStore`].

use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use futures_util::stream::{BoxStream, StreamExt as _};
use secrecy::ExposeSecret as _;

use crate::credential::{
    CredentialStore, Precondition, Record, RecordKey, RecordKind, StoreChange, Version,
};
use crate::error::{ErrorKind, Result};
use crate::id::RecordName;

/// Number of concurrent attempts.
const ATTEMPTS: usize = 16;
/// How long a change may take until it is reported.
const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Verifies a store's contract, on an empty store.
///
/// # Panics
/// If the store violates the contract.
pub async fn store(store: &dyn CredentialStore) {
    basics(store).await;
    preconditions(store).await;
    kinds(store).await;
    names(store).await;
    expiry(store).await;
    one_of_many(store).await;
    sizes(store).await;
    dropped(store).await;
    assert!(
        !format!("{store:?}").contains("canary"),
        "a secret shows in Debug"
    );
}

/// Verifies the contract of two stores that share their records, like two processes do; on empty stores. Pass a store
/// that is not shared twice.
///
/// # Panics
/// If the stores violate the contract.
pub async fn shared(one: &dyn CredentialStore, other: &dyn CredentialStore) {
    let ours = key(RecordKind::Installation, "shared");
    let mut told = other.watch();
    let version = put(one, &ours, "canary-1", Precondition::Absent).await;
    next_is(&mut told, StoreChange::Put(ours.clone())).await;
    assert_eq!(
        found(other, &ours).await,
        Some(("canary-1".into(), version.clone()))
    );
    let unchanged = Precondition::Unchanged(version.clone());
    put(other, &ours, "canary-2", unchanged.clone()).await;
    next_is(&mut told, StoreChange::Put(ours.clone())).await;
    let late = one.put(&ours, record("canary-3"), unchanged.clone()).await;
    conflicts(late, "the other has changed it");
    conflicts(
        one.delete(&ours, unchanged).await,
        "the other has changed it",
    );

    let claim = key(RecordKind::Claim, "refresh");
    let claims = (0..ATTEMPTS).map(|number| {
        let store = if number % 2 == 0 { one } else { other };
        store.put(&claim, record("canary-claim"), Precondition::Absent)
    });
    exactly_one(join_all(claims).await.into_iter().map(taken), "claims");
    let takes = (0..ATTEMPTS).map(|number| {
        let store = if number % 2 == 0 { one } else { other };
        store.delete(&claim, Precondition::Any)
    });
    let took = join_all(takes).await;
    exactly_one(took.into_iter().map(|took| took.expect("delete")), "takes");
    assert!(one.delete(&ours, Precondition::Any).await.expect("delete"));
    assert!(other.get(&ours).await.expect("get").is_none());
}

async fn basics(store: &dyn CredentialStore) {
    let (ours, theirs) = (
        key(RecordKind::Installation, "git/organization"),
        key(RecordKind::Installation, "git/team/core"),
    );
    let mut changes = store.watch();
    assert_eq!(found(store, &ours).await, None);
    assert!(
        !store
            .delete(&ours, Precondition::Any)
            .await
            .expect("absent is Ok")
    );
    let first = put(store, &ours, "canary-one", Precondition::Absent).await;
    assert_eq!(
        found(store, &ours).await,
        Some(("canary-one".into(), first))
    );
    assert_eq!(found(store, &theirs).await, None);
    // Writing the same content again is a distinct write.
    put(store, &ours, "canary-one", Precondition::Any).await;
    next_is(&mut changes, StoreChange::Put(ours.clone())).await;
    next_is(&mut changes, StoreChange::Put(ours.clone())).await;
    put(store, &theirs, "canary-team", Precondition::Any).await;
    next_is(&mut changes, StoreChange::Put(theirs.clone())).await;
    assert!(
        store
            .delete(&ours, Precondition::Any)
            .await
            .expect("delete")
    );
    assert_eq!(found(store, &ours).await, None);
    assert!(
        !store
            .delete(&ours, Precondition::Any)
            .await
            .expect("absent is Ok")
    );
    next_is(&mut changes, StoreChange::Deleted(ours)).await;
    let left = store.list(RecordKind::Installation).await.expect("list");
    assert!(left.iter().map(|(key, ..)| key).eq([&theirs]), "{left:?}");
    assert!(
        store
            .delete(&theirs, Precondition::Any)
            .await
            .expect("delete")
    );
    next_is(&mut changes, StoreChange::Deleted(theirs)).await;
}

async fn preconditions(store: &dyn CredentialStore) {
    let key = key(RecordKind::Client, "https://issuer.example/");
    let unknown = || Precondition::Unchanged(Version("1".to_owned()));
    conflicts(store.put(&key, record("no"), unknown()).await, "it is gone");
    assert_eq!(found(store, &key).await, None);
    assert!(!store.delete(&key, unknown()).await.expect("absent is Ok"));
    let first = put(store, &key, "canary-one", Precondition::Absent).await;
    let absent = store.put(&key, record("no"), Precondition::Absent).await;
    conflicts(absent, "there is one");
    let unchanged = Precondition::Unchanged(first.clone());
    let second = put(store, &key, "canary-two", unchanged.clone()).await;
    assert_ne!(first, second);
    conflicts(
        store.put(&key, record("no"), unchanged.clone()).await,
        "it has changed",
    );
    conflicts(store.delete(&key, unchanged).await, "it has changed");
    conflicts(
        store.delete(&key, Precondition::Absent).await,
        "it is there",
    );
    let now = found(store, &key).await;
    assert_eq!(
        now,
        Some(("canary-two".into(), second.clone())),
        "a refused write changes nothing"
    );
    let third = put(store, &key, "canary-two", Precondition::Any).await;
    assert_ne!(
        second, third,
        "the same content again is a write of its own"
    );
    let unchanged = Precondition::Unchanged(third.clone());
    assert!(store.delete(&key, unchanged.clone()).await.expect("delete"));
    // A record written again after a deletion has a new version.
    let fourth = put(store, &key, "canary-two", Precondition::Absent).await;
    assert!(![first, second, third].contains(&fourth));
    conflicts(store.delete(&key, unchanged).await, "it was written anew");
    assert!(store.delete(&key, Precondition::Any).await.expect("delete"));
}

async fn kinds(store: &dyn CredentialStore) {
    for kind in RecordKind::ALL {
        put(
            store,
            &key(kind, "same"),
            &format!("canary-{kind}"),
            Precondition::Absent,
        )
        .await;
    }
    for kind in RecordKind::ALL {
        let listed = store.list(kind).await.expect("list");
        let [(found, record, version)] = &listed[..] else {
            panic!("one {kind}, but {listed:?}");
        };
        assert_eq!(found, &key(kind, "same"));
        assert_eq!(record.value.expose_secret(), format!("canary-{kind}"));
        let unchanged = Precondition::Unchanged(version.clone());
        assert!(
            store
                .delete(found, unchanged)
                .await
                .expect("a listed version counts")
        );
    }
}

async fn names(store: &dyn CredentialStore) {
    let longest = "ü/".repeat(200);
    let mut names = [
        "b",
        "a/c",
        "A:\"'\\%00..",
        "../x",
        "a",
        "\u{10ffff}",
        &longest,
    ];
    for name in names {
        put(
            store,
            &key(RecordKind::Token, name),
            name,
            Precondition::Absent,
        )
        .await;
    }
    names.sort_unstable();
    let listed = store.list(RecordKind::Token).await.expect("list");
    let found = listed
        .iter()
        .map(|(key, record, _)| (key.name.as_str(), record.value.expose_secret()));
    assert!(found.eq(names.map(|name| (name, name))), "{listed:?}");
    for (key, ..) in listed {
        assert!(store.delete(&key, Precondition::Any).await.expect("delete"));
    }
}

async fn expiry(store: &dyn CredentialStore) {
    let key = key(RecordKind::Flow, "state");
    let now = SystemTime::now();
    let (past, future) = (
        now - Duration::from_secs(1),
        now + Duration::from_secs(86_400),
    );
    let kept = record("canary-kept").expiring(future);
    let write = store.put(&key, kept, Precondition::Absent).await;
    write.expect("put");
    let (kept, _) = store.get(&key).await.expect("get").expect("it is not over");
    let later = kept.expires_at.expect("the end is kept");
    let apart = later
        .duration_since(future)
        .unwrap_or_else(|error| error.duration());
    assert!(
        apart < Duration::from_secs(1),
        "{later:?} instead of {future:?}"
    );
    let over = record("canary-over").expiring(past);
    let version = store.put(&key, over, Precondition::Any).await.expect("put");
    assert_eq!(found(store, &key).await, None, "what is over is absent");
    assert!(store.list(RecordKind::Flow).await.expect("list").is_empty());
    assert!(
        !store
            .delete(&key, Precondition::Any)
            .await
            .expect("absent is Ok")
    );
    let unchanged = Precondition::Unchanged(version);
    conflicts(store.put(&key, record("no"), unchanged).await, "it is gone");
    put(store, &key, "canary-new", Precondition::Absent).await;
    assert!(store.delete(&key, Precondition::Any).await.expect("delete"));
}

async fn one_of_many(store: &dyn CredentialStore) {
    let claim = key(RecordKind::Claim, "one");
    let past = SystemTime::now() - Duration::from_secs(1);
    let over = record("canary").expiring(past);
    store
        .put(&claim, over, Precondition::Absent)
        .await
        .expect("put");
    let claims = (0..ATTEMPTS).map(|_| store.put(&claim, record("canary"), Precondition::Absent));
    exactly_one(
        join_all(claims).await.into_iter().map(taken),
        "claims of what is over",
    );
    let (_, version) = store.get(&claim).await.expect("get").expect("a claim");
    let changes = (0..ATTEMPTS).map(|_| {
        let unchanged = Precondition::Unchanged(version.clone());
        store.put(&claim, record("canary"), unchanged)
    });
    exactly_one(join_all(changes).await.into_iter().map(taken), "changes");
    let takes = (0..ATTEMPTS).map(|_| store.delete(&claim, Precondition::Any));
    let took = join_all(takes).await;
    exactly_one(took.into_iter().map(|took| took.expect("delete")), "takes");
}

async fn sizes(store: &dyn CredentialStore) {
    let key = key(RecordKind::Installation, "large");
    let largest = "x".repeat(Record::MAX_VALUE_LEN);
    put(store, &key, &largest, Precondition::Absent).await;
    let error = store
        .put(&key, record(&format!("{largest}x")), Precondition::Any)
        .await;
    assert_eq!(
        error.expect_err("it is too large").kind(),
        ErrorKind::TooLarge
    );
    let (kept, _) = store.get(&key).await.expect("get").expect("the record");
    assert_eq!(kept.value.expose_secret(), largest);
    assert!(store.delete(&key, Precondition::Any).await.expect("delete"));
}

/// A write dropped at its first wait happens completely or not at all, and does not affect later operations.
async fn dropped(store: &dyn CredentialStore) {
    let key = key(RecordKind::Link, "dropped");
    put(store, &key, "before", Precondition::Absent).await;
    drop(
        store
            .put(&key, record("after"), Precondition::Any)
            .now_or_never(),
    );
    drop(store.get(&key).now_or_never());
    drop(store.list(key.kind).now_or_never());
    let (now, _) = found(store, &key).await.expect("the record");
    assert!(["before", "after"].contains(&now.as_str()), "{now}");
    // A dropped write may be applied later, so a precondition read before it may fail once.
    drop(store.delete(&key, Precondition::Any).now_or_never());
    put(store, &key, "last", Precondition::Any).await;
    store.delete(&key, Precondition::Any).await.expect("delete");
    assert_eq!(found(store, &key).await, None);
}

fn key(kind: RecordKind, name: &str) -> RecordKey {
    RecordKey::new(kind, RecordName::new(name).expect("a name"))
}

fn record(value: &str) -> Record {
    Record::new(value)
}

async fn put(
    store: &dyn CredentialStore,
    key: &RecordKey,
    value: &str,
    precondition: Precondition,
) -> Version {
    let written = store.put(key, record(value), precondition).await;
    written.unwrap_or_else(|error| panic!("put of {key}: {error}"))
}

async fn found(store: &dyn CredentialStore, key: &RecordKey) -> Option<(String, Version)> {
    let found = store.get(key).await.expect("get");
    found.map(|(record, version)| (record.value.expose_secret().to_owned(), version))
}

async fn next_is(changes: &mut BoxStream<'static, Result<StoreChange>>, change: StoreChange) {
    let next = tokio::time::timeout(REPORT_TIMEOUT, changes.next()).await;
    let next = next.expect("the change is told").expect("an item");
    assert_eq!(next.expect("a change"), change);
}

fn conflicts<T: std::fmt::Debug>(result: Result<T>, why: &str) {
    let error = result.expect_err(why);
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
}

/// Returns `true` if the write succeeded, and `false` on a conflict.
fn taken(written: Result<Version>) -> bool {
    match written {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::Conflict => false,
        Err(error) => panic!("{error}"),
    }
}

fn exactly_one(taken: impl Iterator<Item = bool>, what: &str) {
    let taken = taken.filter(|taken| *taken).count();
    assert_eq!(taken, 1, "{what} that succeeded");
}
