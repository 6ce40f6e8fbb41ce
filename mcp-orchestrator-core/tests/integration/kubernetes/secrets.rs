//! Existing Secrets that a configuration refers to.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::credential::{
    ClusterSecrets, CredentialStore as _, KubernetesCredentials, Precondition, Record, RecordKey,
    RecordKind, SecretReader,
};
use mcp_orchestrator_core::id::RecordName;
use mcp_orchestrator_core::testing::credential;
use secrecy::ExposeSecret as _;

use crate::kubernetes::cluster::{TestNamespace, space};
use crate::kubernetes::proxy::Proxy;

async fn put(space: &TestNamespace, value: &str) {
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some("git".to_owned()),
            ..ObjectMeta::default()
        },
        data: Some([("token".to_owned(), ByteString(value.into()))].into()),
        ..Secret::default()
    };
    let (params, patch) = (PatchParams::apply("suite"), Patch::Apply(&secret));
    let written = space.api::<Secret>().patch("git", &params, &patch).await;
    written.unwrap();
}

async fn token(secrets: &ClusterSecrets) -> Option<Vec<u8>> {
    let data = secrets.read("git").await.unwrap()?;
    data.get("token")
        .map(|value| value.expose_secret().to_vec())
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn secret_is_read_fresh_or_from_cache_during_an_outage() {
    let space = space("secrets").await;
    let account = space.account("gateway").await;
    space.bind_role("gateway", true).await;
    let proxy = Proxy::start_as(&space, &account).await;
    let secrets = ClusterSecrets::new(proxy.access.clone());
    assert_eq!(token(&secrets).await, None);
    put(&space, "canary-one").await;
    assert_eq!(token(&secrets).await.unwrap(), b"canary-one");
    put(&space, "canary-two").await;
    assert_eq!(token(&secrets).await.unwrap(), b"canary-two");
    let data = [("token", &b"canary-two"[..])];
    credential::secret_reader(&secrets, ("git", &data), "none").await;
    proxy.close();
    assert_eq!(token(&secrets).await.unwrap(), b"canary-two");
    let error = secrets.read("never-read").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    proxy.open();
    let params = DeleteParams::default();
    let deleted = space.api::<Secret>().delete("git", &params).await;
    deleted.unwrap();
    assert_eq!(token(&secrets).await, None, "one that is gone is gone");
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn secrets_managed_by_an_orchestrator_are_not_readable() {
    let space = space("kept").await;
    let store = KubernetesCredentials::open(space.admin.clone(), "main").await;
    let name = RecordName::new("git/user/ann").unwrap();
    let key = RecordKey::new(RecordKind::Installation, name);
    let put = store.unwrap();
    let put = put.put(&key, Record::new("canary"), Precondition::Absent);
    put.await.unwrap();
    let all = space.api::<Secret>().list(&Default::default()).await;
    let secrets = ClusterSecrets::new(space.admin.clone());
    let names = all.unwrap().items.into_iter();
    let names: Vec<_> = names.filter_map(|it| it.metadata.name).collect();
    assert_eq!(names.len(), 2, "a record and the state key: {names:?}");
    for name in names {
        let error = secrets.read(&name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("keeps for others"), "{error}");
    }
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn missing_read_permission_is_reported_with_its_rule() {
    let space = space("unread").await;
    let account = space.account("gateway").await;
    let secrets = ClusterSecrets::new(space.open_as(&account).await);
    let made = Secret {
        metadata: ObjectMeta {
            name: Some("git".to_owned()),
            ..ObjectMeta::default()
        },
        ..Secret::default()
    };
    let create = PostParams::default();
    space.api().create(&create, &made).await.unwrap();
    let error = secrets.read("git").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let rule = r#"resources: ["secrets"], verbs: ["get"]"#;
    assert!(error.to_string().contains(rule), "{error}");
    space.leave().await;
}
