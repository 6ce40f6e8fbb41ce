//! Tests of credentials stored in the cluster.

use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::credential::{
    CredentialStore, KubernetesCredentials, Precondition, Record, RecordKey, RecordKind,
    StoreChange,
};
use mcp_orchestrator_core::id::RecordName;
use mcp_orchestrator_core::testing::credential;

use crate::kubernetes::cluster::{TestNamespace, space};

const RECORDS: &str =
    "mcp-orchestrator.dev/orchestrator=main,app.kubernetes.io/component=credential";

fn key(kind: RecordKind, name: &str) -> RecordKey {
    RecordKey::new(kind, RecordName::new(name).unwrap())
}

/// Opens the store twice, as two processes with the same name and account would.
async fn two(space: &TestNamespace) -> [KubernetesCredentials; 2] {
    let token = space.account("gateway").await;
    space.bind_role("gateway", true).await;
    let access = space.open_as(&token).await;
    let one = KubernetesCredentials::open(access.clone(), "main");
    let other = KubernetesCredentials::open(access, "main");
    let (one, other) = tokio::join!(one, other);
    [one.unwrap(), other.unwrap()]
}

async fn secrets(space: &TestNamespace) -> Vec<Secret> {
    let all: Api<Secret> = space.api();
    let listed = all.list(&ListParams::default().labels(RECORDS)).await;
    listed.unwrap().items
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn secret_store_upholds_the_store_contract_across_processes() {
    let space = space("credentials").await;
    let [one, other] = two(&space).await;
    credential::shared(&one, &other).await;
    credential::store(&one).await;
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn record_secret_has_no_owner_reference_and_reveals_no_name() {
    let space = space("credential").await;
    let [one, other] = two(&space).await;
    let ann = key(RecordKind::Installation, "git/user/ann@example.org");
    let put = one.put(&ann, Record::new("canary"), Precondition::Absent);
    put.await.unwrap();
    let [secret] = &secrets(&space).await[..] else {
        panic!("one record, one secret");
    };
    assert!(secret.metadata.owner_references.is_none());
    let metadata = serde_json::to_string(&secret.metadata).unwrap();
    for told in ["ann", "example.org", "canary"] {
        let told = metadata.replace("annotations", "").contains(told);
        assert!(!told, "{metadata}");
    }
    let said = format!("{one:?} {:?}", one.get(&ann).await.unwrap());
    assert!(!said.contains("canary"), "{said}");

    let another = KubernetesCredentials::open(space.admin.clone(), "another");
    assert!(another.await.unwrap().get(&ann).await.unwrap().is_none());

    // A record that was edited by hand yields an error that names it, and does not hide the others.
    let bob = key(RecordKind::Installation, "git/user/bob");
    let put = other.put(&bob, Record::new("{}"), Precondition::Absent);
    put.await.unwrap();
    let name = secret.metadata.name.as_deref().unwrap();
    let other_name = ByteString(b"git/user/eve".to_vec());
    let change = serde_json::json!({ "data": { "name": other_name } });
    let all: Api<Secret> = space.api();
    let (params, change) = (PatchParams::default(), Patch::Merge(change));
    all.patch(name, &params, &change).await.unwrap();
    let error = one.get(&ann).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().contains(name), "{error}");
    let eve = key(RecordKind::Installation, "git/user/eve");
    assert!(one.get(&eve).await.unwrap().is_none());
    let listed = one.list(RecordKind::Installation).await.unwrap();
    assert!(listed.iter().map(|(key, ..)| key).eq([&bob]), "{listed:?}");
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn expired_records_are_deleted_and_rewritten_ones_are_kept() {
    let space = space("sweep").await;
    let [one, _other] = two(&space).await;
    let (over, kept) = (key(RecordKind::Link, "over"), key(RecordKind::Link, "kept"));
    let past = SystemTime::now() - Duration::from_secs(1);
    for (key, record) in [
        (&over, Record::new("{}").expiring(past)),
        (&kept, Record::new("{}").expiring(past)),
        (&kept, Record::new("{}")),
    ] {
        one.put(key, record, Precondition::Any).await.unwrap();
    }
    let mut changes = one.watch();
    // Opening the store deletes expired records.
    let access = space.admin.clone();
    let _third = KubernetesCredentials::open(access, "main").await.unwrap();
    let swept = async {
        while let Some(change) = changes.next().await {
            if change.unwrap() == StoreChange::Deleted(over.clone()) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), swept)
        .await
        .unwrap();
    assert_eq!(secrets(&space).await.len(), 1);
    assert!(one.get(&kept).await.unwrap().is_some());
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn missing_permission_is_reported_with_its_rule() {
    let space = space("denied").await;
    let token = space.account("gateway").await;
    let access = space.open_as(&token).await;
    let error = KubernetesCredentials::open(access, "main")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let rule = r#"resources: ["secrets"], verbs: ["get"]"#;
    assert!(error.to_string().contains(rule), "{error}");
    space.leave().await;
}
