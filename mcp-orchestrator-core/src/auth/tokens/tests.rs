use http::{HeaderValue, Request};

use super::*;
use crate::auth::PrincipalKind;
use crate::credential::MemoryCredentials;
use crate::id::{GatewayId, PrincipalId, TeamId};

fn request(token: &str) -> http::request::Parts {
    let mut request = Request::new(());
    if !token.is_empty() {
        let value = HeaderValue::from_str(token).unwrap();
        request.headers_mut().insert("authorization", value);
    }
    request.into_parts().0
}

fn new(subject: &str) -> NewToken {
    NewToken {
        subject: subject.parse().unwrap(),
        admin: false,
        gateway: None,
        expires_at: None,
    }
}

async fn open(store: &Arc<dyn CredentialStore>) -> (TokenAuthenticator, TaskTracker) {
    let tasks = TaskTracker::new();
    let tokens = TokenAuthenticator::open(Arc::clone(store), &tasks).await;
    (tokens.unwrap(), tasks)
}

fn store() -> Arc<dyn CredentialStore> {
    Arc::new(MemoryCredentials::new())
}

fn carrying(token: &SecretString) -> http::request::Parts {
    request(&format!("Bearer {}", token.expose_secret()))
}

#[tokio::test]
async fn generated_token_is_valid_only_once_adopted() {
    let (tokens, _tasks) = open(&store()).await;
    let token = TokenAuthenticator::invent();
    assert!(tokens.authenticate(&carrying(&token)).await.is_err());
    let info = tokens.adopt(&token, new("user/ann")).await.unwrap();
    assert_eq!(tokens.list(), [info]);
    assert!(tokens.authenticate(&carrying(&token)).await.is_ok());
    let again = tokens.adopt(&token, new("user/bob")).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    assert_eq!(tokens.list().len(), 1);
}

#[tokio::test]
async fn token_authenticates_as_its_subject() {
    let store = store();
    let (tokens, _tasks) = open(&store).await;
    let rows = [
        ("user/ann", PrincipalKind::User, "ann"),
        ("team/ops", PrincipalKind::Team, "team/ops"),
        ("organization", PrincipalKind::Organization, "organization"),
    ];
    for (subject, kind, id) in rows {
        let asked = NewToken {
            admin: kind == PrincipalKind::User,
            gateway: (kind == PrincipalKind::Team).then(|| GatewayId::new("ops").unwrap()),
            ..new(subject)
        };
        let (token, info) = tokens.create(asked.clone()).await.unwrap();
        let who = tokens
            .authenticate(&carrying(&token))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((who.principal.kind, who.principal.id.as_str()), (kind, id));
        assert!(who.principal.is_well_named());
        assert_eq!((who.admin, who.gateway), (asked.admin, asked.gateway));
        assert!(!format!("{tokens:?} {info:?}").contains(token.expose_secret()));
    }
    assert_eq!(tokens.list().len(), 3);
}

#[tokio::test]
async fn foreign_tokens_are_ignored_and_invalid_tokens_are_rejected() {
    let store = store();
    let (tokens, _tasks) = open(&store).await;
    for foreign in ["", "Basic eDp5", "Bearer eyJhbGciOi", "bearer", "mcpo_x"] {
        let who = tokens.authenticate(&request(foreign)).await.unwrap();
        assert!(who.is_none(), "{foreign}");
    }
    let over = NewToken {
        expires_at: Some(SystemTime::UNIX_EPOCH),
        ..new("user/ann")
    };
    let (over, _) = tokens.create(over).await.unwrap();
    let (gone, info) = tokens.create(new("user/ann")).await.unwrap();
    tokens.revoke(&info.id).await.unwrap();
    for refused in [carrying(&over), carrying(&gone), request("bearer mcpo_x")] {
        let error = tokens.authenticate(&refused).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }
    assert_eq!(
        tokens.revoke("none").await.unwrap_err().kind(),
        ErrorKind::NoRoute
    );
}

#[tokio::test]
async fn processes_sharing_a_store_see_each_others_changes() {
    let store = store();
    let (one, _one) = open(&store).await;
    let (other, _other) = open(&store).await;
    let (token, info) = one.create(new("user/ann")).await.unwrap();
    let parts = carrying(&token);
    while other.list().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(other.authenticate(&parts).await.unwrap().is_some());
    other.revoke(&info.id).await.unwrap();
    while !one.list().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(one.authenticate(&parts).await.is_err());
}

#[tokio::test]
async fn last_use_is_recorded_at_most_once_an_hour() {
    let store = store();
    let (tokens, tasks) = open(&store).await;
    let (token, _) = tokens.create(new("user/ann")).await.unwrap();
    let mut changes = store.watch();
    let parts = carrying(&token);
    for _ in 0..3 {
        tokens.authenticate(&parts).await.unwrap();
    }
    assert!(matches!(
        changes.next().await,
        Some(Ok(StoreChange::Put(_)))
    ));
    while tokens.list()[0].last_used.is_none() {
        tokio::task::yield_now().await;
    }
    tokens.authenticate(&parts).await.unwrap();
    drop(tokens);
    tasks.close();
    tasks.wait().await;
    drop(store);
    assert!(
        changes.next().await.is_none(),
        "written down more than once"
    );
}

#[test]
fn principal_names_must_match_their_kind() {
    let user = |id: &str| Principal::user(PrincipalId::new(id).unwrap(), "test");
    let ops = TeamId::new("ops").unwrap();
    for good in [
        user("ann"),
        user("teams/x"),
        Principal::team(&ops, "test"),
        Principal::organization("test"),
    ] {
        assert!(good.is_well_named(), "{good:?}");
    }
    let mut other = Principal::team(&ops, "test");
    other.teams[0] = TeamId::new("dev").unwrap();
    for bad in [user("organization"), user("team/ops"), other] {
        assert!(!bad.is_well_named(), "{bad:?}");
    }
}

use crate::auth::Principal;

#[cfg(feature = "test-util")]
#[tokio::test]
async fn token_authenticator_upholds_the_authenticator_contract() {
    let store = store();
    let (tokens, _tasks) = open(&store).await;
    let (token, _) = tokens.create(new("user/ann")).await.unwrap();
    let foreign = request("Bearer other");
    crate::testing::auth::suite(&tokens, &carrying(&token), &foreign).await;
}
