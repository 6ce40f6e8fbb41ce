use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::credential::{Generation, MemoryCredentials, Owner, Record, RecordKey, Revision};
use crate::id::{PrincipalId, ServerId, TeamId};

fn key(server: &str, owner: Owner) -> InstallationKey {
    let server = ServerId::new(server).unwrap();
    InstallationKey { server, owner }
}

fn user(id: &str) -> Owner {
    Owner::User(PrincipalId::new(id).unwrap())
}

fn stored(token: &str) -> StoredCredential {
    StoredCredential {
        revision: Revision::new("r1"),
        generation: Generation(7),
        values: [("token".parse().unwrap(), SecretString::from(token))].into(),
        settings: [("region".to_owned(), "eu".to_owned())].into(),
        expires_at: Some(SystemTime::UNIX_EPOCH + Duration::new(4_000_000_000, 5)),
        renewal: None,
    }
}

async fn raw(store: &dyn CredentialStore, name: &str, json: &str) {
    let key = RecordKey::new(RecordKind::Installation, name.parse().unwrap());
    let put = store.put(&key, Record::new(json), Precondition::Any).await;
    put.unwrap();
}

#[tokio::test]
async fn installation_round_trips() {
    let installations = Installations::new(Arc::new(MemoryCredentials::new()));
    let ours = key("git", user("ann"));
    let credential = stored("a \"b\"\n\u{1f511}");
    let version = installations
        .put(&ours, &credential, Precondition::Absent)
        .await
        .unwrap();
    let (found, read) = installations.get(&ours).await.unwrap().unwrap();
    assert_eq!(read, version);
    assert_eq!(found.revision, credential.revision);
    assert_eq!(found.generation, credential.generation);
    assert_eq!(found.settings, credential.settings);
    assert_eq!(found.expires_at, credential.expires_at);
    let values = |credential: &StoredCredential| -> BTreeMap<String, String> {
        let values = credential.values.iter();
        values
            .map(|(slot, value)| (slot.to_string(), value.expose_secret().to_owned()))
            .collect()
    };
    assert_eq!(values(&found), values(&credential));
    let unchanged = Precondition::Unchanged(version);
    assert!(installations.delete(&ours, unchanged).await.unwrap());
    assert!(installations.get(&ours).await.unwrap().is_none());
}

#[tokio::test]
async fn unknown_members_from_newer_versions_are_ignored() {
    let store = Arc::new(MemoryCredentials::new());
    let installations = Installations::new(Arc::<MemoryCredentials>::clone(&store));
    let json = r#"{"added":{"a":[1]},"form":1,"revision":"r","values":{"token":"x"}}"#;
    raw(&*store, "git/organization", json).await;
    let found = installations.get(&key("git", Owner::Organization)).await;
    let (found, _) = found.unwrap().unwrap();
    assert_eq!(found.generation, Generation(0));
    assert_eq!(found.values.len(), 1);
}

#[tokio::test]
async fn broken_record_is_named_and_does_not_hide_the_others() {
    let store = Arc::new(MemoryCredentials::new());
    let installations = Installations::new(Arc::<MemoryCredentials>::clone(&store));
    let good = key("git", Owner::Organization);
    let credential = stored("canary");
    let put = installations.put(&good, &credential, Precondition::Any);
    put.await.unwrap();
    let newer = r#"{"form":2,"canary":"canary"}"#;
    for (name, json) in [
        (
            "git/user/ann",
            r#"{"form":1,"revision":"r","values":"canary"}"#,
        ),
        (
            "git/user/bob",
            r#"{"form":1,"revision":"r","values":{"token":47110815}}"#,
        ),
        ("git/user/cid", "canary"),
        ("git/user/dan", newer),
        ("nobody", newer),
    ] {
        raw(&*store, name, json).await;
    }
    let (good, broken): (Vec<_>, Vec<_>) = installations
        .list()
        .await
        .unwrap()
        .into_iter()
        .partition(Result::is_ok);
    assert_eq!(good.len(), 1);
    let told: Vec<String> = broken
        .into_iter()
        .map(|one| one.unwrap_err().to_string())
        .collect();
    for (text, part) in told.iter().zip([
        "user/ann for server git is broken",
        "user/bob for server git is broken",
        "user/cid for server git is broken",
        "form 2",
        "installation nobody",
    ]) {
        assert!(text.contains(part), "{text}");
        assert!(
            !text.contains("canary") && !text.contains("47110815"),
            "{text}"
        );
    }
    let error = installations.get(&key("git", user("ann"))).await;
    assert_eq!(
        error.unwrap_err().server().map(ServerId::as_str),
        Some("git")
    );
}

#[test]
fn longest_names_fit_into_a_record_key() {
    let long = key(&"a".repeat(63), user(&"ü".repeat(127)));
    let record = RecordKey::from(&long);
    assert_eq!(InstallationKey::try_from(&record).unwrap(), long);
}

proptest! {
    #[test]
    fn record_key_round_trips_to_the_same_owner(
        server in "[a-z][a-z0-9]{0,8}",
        id in "[a-z/:@.|ü]{1,20}",
        whose in 0..3_u8,
    ) {
        let owner = match whose {
            0 => user(&id),
            1 => Owner::Team(TeamId::new(&id).unwrap()),
            _ => Owner::Organization,
        };
        let key = key(&server, owner);
        let record = RecordKey::from(&key);
        prop_assert_eq!(InstallationKey::try_from(&record).unwrap(), key);
    }
}
