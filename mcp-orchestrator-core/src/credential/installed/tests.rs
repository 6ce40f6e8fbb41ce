use std::collections::BTreeMap;

use http::Uri;
use secrecy::ExposeSecret as _;

use std::time::SystemTime;

use super::*;
use crate::auth::{Principal, PrincipalKind};
use crate::credential::{
    CredentialStore, Generation, MemoryCredentials, Precondition, Revision, StoredCredential,
};
use crate::id::{PrincipalId, ServerId, SlotName, TeamId};
use crate::server::{CredentialSlot, Injection, SlotForm};

fn server() -> ServerSpec {
    let id = ServerId::new("jira").unwrap();
    let mut server = ServerSpec::remote(id, Uri::from_static("http://jira/mcp"));
    server.slots.push(CredentialSlot {
        name: SlotName::new("token").unwrap(),
        description: None,
        required: true,
        inject: Injection::Env("TOKEN".into()),
        form: SlotForm::default(),
    });
    server
}

fn owner(text: &str) -> Owner {
    text.parse().unwrap()
}

fn key(text: &str) -> InstallationKey {
    InstallationKey {
        server: server().id,
        owner: owner(text),
    }
}

fn stored(revision: &str, expires_at: Option<SystemTime>) -> StoredCredential {
    StoredCredential {
        revision: Revision::new(revision),
        generation: Generation::default(),
        values: BTreeMap::from([(SlotName::new("token").unwrap(), revision.into())]),
        settings: BTreeMap::new(),
        expires_at,
        renewal: None,
    }
}

async fn put(installations: &Installations, key: &InstallationKey, stored: &StoredCredential) {
    let put = installations.put(key, stored, Precondition::Any);
    put.await.unwrap();
}

fn principal(kind: PrincipalKind, id: &str, teams: &[&str]) -> Principal {
    Principal {
        kind,
        teams: teams
            .iter()
            .map(|name| TeamId::new(name).unwrap())
            .collect(),
        ..Principal::user(PrincipalId::new(id).unwrap(), "test")
    }
}

/// Opens a resolver with these installations; a trailing `!` marks an expired one.
async fn installed(owners: &[&str]) -> (Arc<InstalledResolver>, TaskTracker) {
    let store: Arc<dyn CredentialStore> = Arc::new(MemoryCredentials::new());
    let installations = Installations::new(store);
    for name in owners {
        let (name, expires) = match name.strip_suffix('!') {
            Some(name) => (name, Some(SystemTime::UNIX_EPOCH)),
            None => (*name, None),
        };
        put(&installations, &key(name), &stored(name, expires)).await;
    }
    let tasks = TaskTracker::new();
    let resolver = InstalledResolver::open(installations, &tasks)
        .await
        .unwrap();
    (resolver, tasks)
}

/// Returns the owner of the resolved credential, or the reason why none was resolved.
async fn answer(resolver: &InstalledResolver, who: &Principal, rule: &CredentialRule) -> String {
    let server = server();
    let request = CredentialRequest {
        principal: who,
        server: &server,
        rule,
        rejected: None,
        token: None,
    };
    match resolver.resolve(request).await {
        Ok(Some(credential)) => {
            let value = credential.values.values().next().unwrap();
            assert_eq!(value.expose_secret(), credential.owner.to_string());
            credential.owner.to_string()
        }
        Ok(None) => "not mine".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
async fn first_owner_with_an_installation_wins() {
    use PrincipalKind as K;
    let ann = || principal(K::User, "ann", &["ops", "dev"]);
    let bob = || principal(K::User, "bob", &[]);
    let ops = || principal(K::Team, "team/ops", &["ops"]);
    let all = || principal(K::Organization, "acme", &[]);
    let resolve = || CredentialRule::Resolve;
    let dev_first = || {
        let order = ["dev", "ops"].map(|name| TeamId::new(name).unwrap());
        CredentialRule::ResolveAmong(order.into())
    };
    let pinned = |text: &str| CredentialRule::Pinned(owner(text));
    let missing = "CredentialMissing";
    let expired = "CredentialExpired";
    // Installed owners (`!`: expired), caller, rule, expected owner or error.
    let rows: Vec<(&[&str], Principal, CredentialRule, &str)> = vec![
        (
            &["user/ann", "team/ops", "organization"],
            ann(),
            resolve(),
            "user/ann",
        ),
        (
            &["team/ops", "team/dev", "organization"],
            ann(),
            resolve(),
            "team/ops",
        ),
        (
            &["team/ops", "team/dev", "organization"],
            ann(),
            dev_first(),
            "team/dev",
        ),
        (&["team/dev", "organization"], ann(), resolve(), "team/dev"),
        (&["organization"], ann(), resolve(), "organization"),
        (&[], ann(), resolve(), "not mine"),
        (&["user/ann", "team/ops"], bob(), resolve(), "not mine"),
        (
            &["user/ann", "organization"],
            bob(),
            resolve(),
            "organization",
        ),
        // An expired installation is not skipped.
        (
            &["user/ann!", "team/ops", "organization"],
            ann(),
            resolve(),
            expired,
        ),
        (&["team/ops!", "team/dev"], ann(), resolve(), expired),
        (&["team/ops!", "team/dev"], ann(), dev_first(), "team/dev"),
        (&["organization!"], bob(), resolve(), expired),
        // Tokens of a team and of the organization.
        (
            &["user/ops", "team/ops", "organization"],
            ops(),
            resolve(),
            "team/ops",
        ),
        (
            &["user/ops", "team/dev", "organization"],
            ops(),
            resolve(),
            "organization",
        ),
        (
            &["user/acme", "team/acme", "organization"],
            all(),
            resolve(),
            "organization",
        ),
        (&["team/ops"], all(), resolve(), "not mine"),
        // A pinned owner is the only one considered.
        (
            &["user/ann", "team/ops", "organization"],
            ann(),
            pinned("team/ops"),
            "team/ops",
        ),
        (
            &["user/ann", "organization"],
            ann(),
            pinned("team/ops"),
            missing,
        ),
        (
            &["team/ops!", "organization"],
            ann(),
            pinned("team/ops"),
            expired,
        ),
        (
            &["user/ann", "team/ops"],
            ann(),
            pinned("organization"),
            "not mine",
        ),
        (
            &["user/bob", "organization"],
            bob(),
            pinned("user/bob"),
            "user/bob",
        ),
        (&["organization"], bob(), pinned("user/bob"), missing),
        (&["organization"], ann(), CredentialRule::None, "not mine"),
    ];
    for (owners, who, rule, expected) in rows {
        let (resolver, _tasks) = installed(owners).await;
        let found = answer(&resolver, &who, &rule).await;
        assert_eq!(found, expected, "{owners:?} {} {rule:?}", who.id);
    }
}

#[tokio::test]
async fn changes_by_other_processes_are_followed_and_reported() {
    let (resolver, _tasks) = installed(&["organization"]).await;
    let mut changes = resolver.changes();
    let ann = principal(PrincipalKind::User, "ann", &[]);
    let installations = resolver.installations().clone();
    put(&installations, &key("user/ann"), &stored("user/ann", None)).await;
    let told = changes.next().await.unwrap();
    assert_eq!((told.owner, told.now.is_some()), (owner("user/ann"), true));
    assert_eq!(
        answer(&resolver, &ann, &CredentialRule::Resolve).await,
        "user/ann"
    );
    installations
        .delete(&key("user/ann"), Precondition::Any)
        .await
        .unwrap();
    let told = changes.next().await.unwrap();
    assert_eq!((told.owner, told.now.is_some()), (owner("user/ann"), false));
    assert_eq!(
        answer(&resolver, &ann, &CredentialRule::Resolve).await,
        "organization"
    );
}

#[tokio::test]
async fn rejected_credential_is_not_returned_again() {
    let (resolver, _tasks) = installed(&["user/ann", "organization"]).await;
    let (server, ann) = (server(), principal(PrincipalKind::User, "ann", &[]));
    let revision = Revision::new("user/ann");
    let request = CredentialRequest {
        principal: &ann,
        server: &server,
        rule: &CredentialRule::Resolve,
        rejected: Some((&revision, Generation::default())),
        token: None,
    };
    let error = resolver.resolve(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CredentialRejected);
    let mut newer = stored("user/ann", None);
    newer.generation = Generation(1);
    put(resolver.installations(), &key("user/ann"), &newer).await;
    let again = resolver.resolve(request).await.unwrap().unwrap();
    assert_eq!(again.generation, Generation(1));
}

#[cfg(feature = "test-util")]
#[tokio::test]
async fn installed_resolver_upholds_the_resolver_contract() {
    let (resolver, _tasks) = installed(&["user/ann"]).await;
    let (server, ann) = (server(), principal(PrincipalKind::User, "ann", &[]));
    let bob = principal(PrincipalKind::User, "bob", &[]);
    let known = CredentialRequest {
        principal: &ann,
        server: &server,
        rule: &CredentialRule::Resolve,
        rejected: None,
        token: None,
    };
    let foreign = CredentialRequest {
        principal: &bob,
        ..known
    };
    // The helper sets the value to the owner's name, which `Debug` may show; use a distinct value here.
    let mut secret = stored("r1", None);
    secret
        .values
        .values_mut()
        .for_each(|value| *value = "canary-9c1".into());
    put(resolver.installations(), &key("user/ann"), &secret).await;
    resolver.seen(&key("user/ann")).await.unwrap();
    crate::testing::credential::resolver(&*resolver, known, foreign).await;
}
