//! State in the cluster that outlives a restart.

use bytes::Bytes;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::runtime::kubernetes::{Membership, state_key};
use mcp_orchestrator_core::state::{ConfigMapState, StateStore};
use secrecy::ExposeSecret as _;

use crate::kubernetes::cluster::space;

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn config_map_store_upholds_the_state_contract() {
    let space = space("state").await;
    // As administrator: the contract suite lists, which a gateway never does and its Role does not allow.
    let access = space.admin.clone();
    let state = ConfigMapState::new(access.clone(), "main", [].into());
    mcp_orchestrator_core::testing::state::suite(&state).await;
    let other = ConfigMapState::new(access.clone(), "other", [].into());
    assert_eq!(other.get("a").await.unwrap(), None, "each has its own");
    let longest = "a.".repeat(64);
    let document = Bytes::from(vec![b'x'; 1_000_000]);
    state.put(&longest, document.clone()).await.unwrap();
    assert_eq!(state.get(&longest).await.unwrap(), Some(document));
    let larger = Bytes::from(vec![0; 1_000_001]);
    let error = state.put("larger", larger).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let (acts, acting) = tokio::sync::watch::channel(false);
    let waiting = ConfigMapState::new(access, "main", [].into()).while_acting(acting);
    let error = waiting.remove("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(waiting.names().await.unwrap(), ["a", &longest]);
    acts.send_replace(true);
    waiting.remove("a").await.unwrap();
    let left = space.api::<ConfigMap>();
    let selected = ListParams::default().labels("mcp-orchestrator.dev/kept-by=main");
    assert_eq!(left.list(&selected).await.unwrap().items.len(), 1);
    // The Role of a gateway allows everything that it does.
    let token = space.account("gateway").await;
    space.bind_role("gateway", true).await;
    let own = ConfigMapState::new(space.open_as(&token).await, "own", [].into());
    for document in ["one", "two"].map(Bytes::from) {
        own.put("a", document.clone()).await.unwrap();
        assert_eq!(own.get("a").await.unwrap(), Some(document));
        own.remove("a").await.unwrap();
        own.remove("a").await.unwrap();
        assert_eq!(own.get("a").await.unwrap(), None);
    }
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn first_admin_token_is_offered_until_it_is_adopted() {
    let space = space("admin").await;
    let token = space.account("gateway").await;
    space.bind_role("gateway", true).await;
    let access = space.open_as(&token).await;
    let state = tempfile::tempdir().unwrap();
    let seat = Membership::join(access, "main", state.path())
        .await
        .unwrap();
    let place = seat.first_admin();
    let place = &place;
    let offer = |text: &'static str| async move {
        let offered = place.offer(text.to_owned().into()).await.unwrap();
        offered.expose_secret().to_owned()
    };
    let first = offer("one").await;
    assert_eq!(
        (first.as_str(), offer("two").await),
        ("one", "one".to_owned())
    );
    let stands = || async {
        let secret = space.api::<Secret>().get(place.name()).await.unwrap();
        assert!(
            secret.metadata.owner_references.is_none(),
            "it outlives an uninstall"
        );
        secret.data.unwrap()["token"].0.clone()
    };
    assert_eq!(stands().await, b"one");
    place.counts().await.unwrap();
    assert_eq!(stands().await, b"one");
    // The token was in effect and has been revoked since.
    assert_eq!(
        (offer("three").await, offer("four").await),
        ("three".into(), "three".into())
    );
    assert_eq!(stands().await, b"three");
    seat.give_up().await;
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn state_key_is_created_once() {
    let space = space("key").await;
    let token = space.account("gateway").await;
    space.bind_role("gateway", true).await;
    let access = space.open_as(&token).await;
    let made = || state_key(&access, "main", [].into());
    let keys = tokio::join!(made(), made(), made());
    let first = keys.0.unwrap();
    assert_eq!(first.expose(), keys.1.unwrap().expose());
    assert_eq!(first.expose(), keys.2.unwrap().expose());
    assert_eq!(first.expose(), made().await.unwrap().expose());
    let secrets = space.api::<Secret>();
    let broken = serde_json::json!({ "data": { "state.key": "c2hvcnQ=" } });
    let patch = PatchParams::default();
    let refused = secrets
        .patch("main-state-key", &patch, &Patch::Merge(&broken))
        .await;
    assert!(refused.is_err(), "nobody changes it");
    space.leave().await;
}
