//! Tests that the watches recover from an API server that has compacted their position (410) or is overloaded (429).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::backend;
use crate::kubernetes::tests::api_server::{Answer, list, server, status};
use crate::runtime::kubernetes::KubernetesBackend;

/// Timeout of every wait.
const TIMEOUT: Duration = Duration::from_secs(30);

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "uid": name, "generation": 1, "resourceVersion": "2" },
        "spec": { "replicas": 0, "selector": {}, "template": {} },
    })
}

/// Waits until the backend has synced and knows this Deployment.
async fn comes_to_know(backend: &KubernetesBackend, name: &str) {
    let mut changes = backend.0.store.subscribe(name);
    let known = async {
        while !backend.0.store.deployed().contains(name) {
            changes.changed().await.unwrap();
        }
        backend.0.store.synced().await;
    };
    tokio::time::timeout(TIMEOUT, known).await.unwrap();
}

#[tokio::test]
async fn watch_that_receives_410_relists() {
    let lists = AtomicUsize::new(0);
    let (_serving, address) = server(move |path| {
        let (deployments, watch) = (path.contains("/deployments"), path.contains("watch=true"));
        match (deployments, watch) {
            (true, true) if lists.load(Ordering::SeqCst) < 2 => {
                let gone = json!({ "type": "ERROR", "object": status(410, "Expired") });
                Answer::Watch(vec![gone])
            }
            (_, true) => Answer::Watch(Vec::new()),
            (true, false) if lists.fetch_add(1, Ordering::SeqCst) > 0 => {
                list(&[deployment("mcp-a-1")])
            }
            _ => list(&[]),
        }
    })
    .await;
    let backend = backend(&address).await;
    comes_to_know(&backend, "mcp-a-1").await;
}

#[tokio::test]
async fn overloaded_api_server_is_retried() {
    let asked = AtomicUsize::new(0);
    let (_serving, address) = server(move |path| {
        let deployments = path.contains("/deployments");
        if deployments && asked.fetch_add(1, Ordering::SeqCst) < 3 {
            return Answer::Whole(429, status(429, "TooManyRequests"));
        }
        match (deployments, path.contains("watch=true")) {
            (true, true) => {
                let added = json!({ "type": "ADDED", "object": deployment("mcp-b-1") });
                Answer::Watch(vec![added])
            }
            (_, true) => Answer::Watch(Vec::new()),
            _ => list(&[]),
        }
    })
    .await;
    let backend = backend(&address).await;
    comes_to_know(&backend, "mcp-b-1").await;
    assert_eq!(backend.trouble(), None);
}
