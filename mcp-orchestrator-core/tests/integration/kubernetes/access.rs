//! Access to a cluster: which one, with which credentials and rights.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::runtime::kubernetes::{Access, AccessOptions, review};

use crate::kubernetes::cluster::space;

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn cluster_is_reached_without_installing_a_global_crypto_provider() {
    let space = space("reach").await;
    let version = space.admin.reach().await.unwrap();
    assert!(version.starts_with("v1."), "{version}");
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    assert!(space.admin.said().contains(&space.name));
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn missing_context_error_lists_the_available_ones() {
    let space = space("context").await;
    let options = AccessOptions {
        kubeconfig: Some(space.kubeconfig.clone()),
        context: Some("elsewhere".to_owned()),
        namespace: None,
    };
    let error = Access::open(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(
        text.contains("has no context elsewhere: there are kube-test"),
        "{text}"
    );
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn permissions_are_reviewed_in_advance() {
    let space = space("review").await;
    assert_eq!(review(&space.admin).await.unwrap(), []);
    let token = space.account("weak").await;
    let weak = space.open_as(&token).await;
    let denied = review(&weak).await.unwrap();
    // An orchestrator outside the cluster; rights that only one inside needs are not reviewed.
    let all = mcp_orchestrator_core::runtime::kubernetes::rules(false);
    let needed = all.filter(|rule| rule.needed);
    assert_eq!(denied.len(), needed.flat_map(|rule| rule.verbs).count());
    let pods: Api<Pod> = Api::namespaced(weak.client().clone(), &space.name);
    let forbidden = pods.list(&kube::api::ListParams::default()).await;
    assert!(matches!(forbidden, Err(kube::Error::Api(status)) if status.is_forbidden()));
    space.bind("weak").await;
    let mut left = review(&weak).await.unwrap();
    // The authorizer learns of a new Role through its own watch.
    while !left.is_empty() {
        left = review(&weak).await.unwrap();
    }
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn missing_namespace_is_reported() {
    let space = space("namespace").await;
    let options = AccessOptions {
        kubeconfig: Some(space.kubeconfig.clone()),
        context: None,
        namespace: Some("suite-nowhere".to_owned()),
    };
    let access = Access::open(&options).await.unwrap();
    let error = review(&access).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error
            .to_string()
            .contains("namespace suite-nowhere does not exist"),
        "{error}"
    );
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn unreachable_cluster_is_reported() {
    let space = space("away").await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let text = std::fs::read_to_string(&space.kubeconfig).unwrap();
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("config");
    let moved = text.replace(
        "https://10.231.255.1:6443",
        &format!("https://127.0.0.1:{port}"),
    );
    assert_ne!(moved, text);
    std::fs::write(&file, moved).unwrap();
    let options = AccessOptions {
        kubeconfig: Some(file),
        ..AccessOptions::default()
    };
    let access = Access::open(&options).await.unwrap();
    let error = access.reach().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    assert!(text.contains("refused"), "{text}");
    space.leave().await;
}
