//! The suites of [`CredentialResolver`] and [`CredentialStore`].

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use futures_util::stream::StreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};

use crate::credential::{
    Credential, CredentialRequest, CredentialResolver, CredentialStore, Generation,
    InstallationKey, Owner, Precondition, Revision, StoreChange, StoredCredential,
};
use crate::error::ErrorKind;
use crate::id::{ServerId, SlotName, TeamId};

/// All that the contract promises of a resolver: `known` is a request that it answers, `foreign` one that is not its
/// own.
///
/// # Panics
/// Where the resolver breaks its contract.
pub async fn resolver(
    resolver: &dyn CredentialResolver,
    known: CredentialRequest<'_>,
    foreign: CredentialRequest<'_>,
) {
    let none = resolver
        .resolve(foreign)
        .await
        .expect("not mine is no error");
    assert!(none.is_none(), "a foreign request is answered with None");

    // Left at its first wait: nothing that comes after may suffer from it.
    drop(resolver.resolve(known).now_or_never());
    let first = resolver.resolve(known).await.expect("resolve");
    let first = first.expect("a known request is answered");
    for slot in known.server.slots.iter().filter(|slot| slot.required) {
        assert!(first.values.contains_key(&slot.name), "{}", slot.name);
    }
    let text = format!("{resolver:?} {first:?}");
    for value in first.values.values() {
        assert!(
            !text.contains(value.expose_secret()),
            "a secret shows in Debug"
        );
        assert!(
            !first.revision.as_str().contains(value.expose_secret()),
            "a secret shows in the revision"
        );
    }

    for again in join_all((0..8).map(|_| resolver.resolve(known))).await {
        let again = again.expect("resolve").expect("a credential");
        assert_eq!(again.owner, first.owner);
        if again.revision == first.revision && again.generation == first.generation {
            assert!(same_values(&again, &first), "one generation, two values");
        }
    }

    let refused = CredentialRequest {
        rejected: Some((&first.revision, first.generation)),
        ..known
    };
    match resolver.resolve(refused).await {
        Ok(Some(next)) => assert!(
            (&next.revision, next.generation) != (&first.revision, first.generation),
            "what was rejected is answered again"
        ),
        Ok(None) => panic!("what was mine is mine when it is rejected"),
        Err(error) => assert!(
            matches!(
                error.kind(),
                ErrorKind::CredentialRejected
                    | ErrorKind::CredentialExpired
                    | ErrorKind::CredentialMissing
            ),
            "{error:?}"
        ),
    }
}

fn same_values(one: &Credential, other: &Credential) -> bool {
    let pairs = |credential: &Credential| -> Vec<(SlotName, String)> {
        let values = credential.values.iter();
        values
            .map(|(slot, value)| (slot.clone(), value.expose_secret().to_owned()))
            .collect()
    };
    pairs(one) == pairs(other)
}

/// All that the contract promises of a store, on an empty one.
///
/// # Panics
/// Where the store breaks its contract.
pub async fn store(store: &dyn CredentialStore) {
    let ours = key("git", Owner::Organization);
    let team = TeamId::new("core").expect("a name");
    let theirs = key("git", Owner::Team(team));
    let mut changes = store.watch();
    assert!(store.get(&ours).await.expect("get").is_none());
    store.delete(&ours).await.expect("absent is Ok");

    let first = store
        .put(&ours, stored("one"), Precondition::Absent)
        .await
        .expect("put where absent");
    let (found, version) = store.get(&ours).await.expect("get").expect("an entry");
    assert_eq!(version, first);
    assert_same(&found, &stored("one"));
    assert!(store.get(&theirs).await.expect("get").is_none());

    preconditions(store, &ours).await;

    store
        .put(&theirs, stored("team"), Precondition::Any)
        .await
        .expect("put");
    assert_eq!(
        store.list().await.expect("list"),
        [theirs.clone(), ours.clone()]
    );
    store.delete(&ours).await.expect("delete");
    assert!(store.get(&ours).await.expect("get").is_none());
    let left = store.list().await.expect("list");
    assert!(left.iter().eq([&theirs]), "{left:?}");
    assert!(
        !format!("{store:?}").contains("canary"),
        "a secret shows in Debug"
    );

    let told = [
        StoreChange::Put(ours.clone()),
        StoreChange::Put(ours.clone()),
        StoreChange::Put(ours.clone()),
        StoreChange::Put(theirs),
        StoreChange::Deleted(ours),
    ];
    for change in told {
        let next = tokio::time::timeout(Duration::from_secs(5), changes.next());
        let next = next.await.expect("the change is told").expect("an item");
        assert_eq!(next.expect("a change"), change);
    }
}

async fn preconditions(store: &dyn CredentialStore, key: &InstallationKey) {
    let (_, first) = store.get(key).await.expect("get").expect("an entry");
    let error = store
        .put(key, stored("no"), Precondition::Absent)
        .await
        .expect_err("there is one");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let second = store
        .put(key, stored("two"), Precondition::Unchanged(first.clone()))
        .await
        .expect("it is unchanged");
    assert_ne!(first, second);
    let error = store
        .put(key, stored("no"), Precondition::Unchanged(first))
        .await
        .expect_err("it has changed");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let (found, version) = store.get(key).await.expect("get").expect("an entry");
    assert_eq!(version, second, "a refused write changes nothing");
    assert_same(&found, &stored("two"));
    // The same content again is a write of its own.
    let third = store
        .put(key, stored("two"), Precondition::Any)
        .await
        .expect("put");
    assert_ne!(second, third);
}

fn key(server: &str, owner: Owner) -> InstallationKey {
    InstallationKey {
        server: ServerId::new(server).expect("a name"),
        owner,
    }
}

fn stored(name: &str) -> StoredCredential {
    let slot = SlotName::new("token").expect("a name");
    StoredCredential {
        revision: Revision::new(name),
        generation: Generation(7),
        values: BTreeMap::from([(slot, SecretString::from(format!("canary-{name}")))]),
        settings: BTreeMap::from([("region".to_owned(), name.to_owned())]),
        expires_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000)),
    }
}

fn assert_same(found: &StoredCredential, put: &StoredCredential) {
    assert_eq!(found.revision, put.revision);
    assert_eq!(found.generation, put.generation);
    assert_eq!(found.settings, put.settings);
    assert_eq!(found.expires_at, put.expires_at);
    let values = |credential: &StoredCredential| -> Vec<String> {
        let values = credential.values.values();
        values
            .map(|value| value.expose_secret().to_owned())
            .collect()
    };
    assert_eq!(values(found), values(put));
}
