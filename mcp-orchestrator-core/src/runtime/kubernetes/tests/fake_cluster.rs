//! An in-memory API server, for tests of what is written and when.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::kubernetes::tests::api_server::{Answer, ReceivedRequest, access, list, serve, status};
use crate::runtime::kubernetes::Access;

/// The objects of a namespace, by resource and name.
#[derive(Clone, Default)]
pub(crate) struct Cluster(Arc<Mutex<Objects>>);

#[derive(Default)]
struct Objects {
    all: BTreeMap<(String, String), Value>,
    versions: u64,
    /// Resources that may not be created.
    forbidden: Vec<&'static str>,
}

impl Objects {
    fn put(&mut self, resource: &str, mut object: Value) -> Value {
        self.versions += 1;
        let version = self.versions.to_string();
        object["metadata"]["resourceVersion"] = json!(version);
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{version}"));
        }
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.all.insert((resource.to_owned(), name), object.clone());
        object
    }
}

impl Cluster {
    /// Serves the cluster; returns the server's tasks and access to it.
    pub(crate) async fn serve(&self) -> (JoinSet<()>, Access) {
        let cluster = self.clone();
        let (serving, address) = serve(move |asked| cluster.answer(asked)).await;
        (serving, access(&address).await)
    }

    pub(crate) fn put(&self, resource: &str, object: Value) -> Value {
        self.0.lock().put(resource, object)
    }

    pub(crate) fn get(&self, resource: &str, name: &str) -> Option<Value> {
        let place = (resource.to_owned(), name.to_owned());
        self.0.lock().all.get(&place).cloned()
    }

    pub(crate) fn delete(&self, resource: &str, name: &str) -> Option<Value> {
        let place = (resource.to_owned(), name.to_owned());
        self.0.lock().all.remove(&place)
    }

    pub(crate) fn forbid(&self, forbidden: &[&'static str]) {
        self.0.lock().forbidden = forbidden.to_vec();
    }

    fn answer(&self, asked: &ReceivedRequest) -> Answer {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let Some((_, rest)) = path.split_once("/namespaces/a/") else {
            return Answer::Whole(404, status(404, "NotFound"));
        };
        let (resource, name) = rest.split_once('/').unwrap_or((rest, ""));
        let body = || serde_json::from_slice::<Value>(&asked.body).unwrap();
        let absent = || Answer::Whole(404, status(404, "NotFound"));
        match asked.method.as_str() {
            "GET" if query.contains("watch=true") => Answer::Watch(Vec::new()),
            "GET" if name.is_empty() => self.list(resource, query),
            "GET" => self
                .get(resource, name)
                .map_or_else(absent, |it| Answer::Whole(200, it)),
            "POST" if self.0.lock().forbidden.contains(&resource) => {
                Answer::Whole(403, status(403, "Forbidden"))
            }
            "POST" => {
                let new = body();
                let name = new["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                match self.get(resource, &name) {
                    Some(_) => Answer::Whole(409, status(409, "AlreadyExists")),
                    None => Answer::Whole(201, self.put(resource, new)),
                }
            }
            "PUT" => match self.get(resource, name) {
                Some(before) => {
                    let mut now = body();
                    now["metadata"]["uid"] = before["metadata"]["uid"].clone();
                    Answer::Whole(200, self.put(resource, now))
                }
                // An API server creates an absent Lease on update, but not objects of most other kinds.
                None if resource == "leases" => Answer::Whole(201, self.put(resource, body())),
                None => absent(),
            },
            "PATCH" => match self.get(resource, name) {
                Some(mut object) => {
                    json_patch::merge(&mut object, &body());
                    Answer::Whole(200, self.put(resource, object))
                }
                None => absent(),
            },
            _ => self
                .delete(resource, name)
                .map_or_else(absent, |it| Answer::Whole(200, it)),
        }
    }

    fn list(&self, resource: &str, query: &str) -> Answer {
        let mut query = query.split('&').filter_map(|pair| pair.split_once('='));
        let wanted = query.find(|(name, _)| *name == "labelSelector");
        let wanted = wanted.map_or_else(String::new, |(_, text)| {
            let text = text.replace("%3D", "=").replace("%2C", ",");
            text.replace("%2F", "/")
        });
        let pairs: Vec<_> = wanted
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let all = self.0.lock();
        let of = all.all.iter().filter(|((kind, _), _)| kind == resource);
        let chosen = of.filter(|(_, object)| {
            let labels = &object["metadata"]["labels"];
            pairs.iter().all(|(name, value)| labels[*name] == **value)
        });
        list(&chosen.map(|(_, object)| object.clone()).collect::<Vec<_>>())
    }
}

mod tests {
    use std::time::Duration;

    use super::*;
    use crate::credential::{Owner as CredentialOwner, Revision};
    use crate::id::ServerId;
    use crate::runtime::kubernetes::names::{KEY, labels};
    use crate::runtime::kubernetes::{KubernetesBackend, KubernetesOptions, Membership, Owner};
    use crate::runtime::{InstanceKey, LogBook, Scope, SpecDigest};
    use crate::seal::StateKey;

    async fn becomes(what: &str, holds: impl Fn() -> bool) {
        let holding = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let limit = Duration::from_secs(60);
        assert!(tokio::time::timeout(limit, holding).await.is_ok(), "{what}");
    }

    #[tokio::test]
    async fn deleted_owner_is_recreated_and_replaced_owner_is_read_again() {
        let cluster = Cluster::default();
        let (_serving, access) = cluster.serve().await;
        let owner = Owner::new(access, "main");
        let first = owner.reference().await.unwrap();
        assert_eq!(
            first["uid"],
            cluster.get("configmaps", "main").unwrap()["metadata"]["uid"]
        );
        cluster.delete("configmaps", "main");
        owner.invalidate();
        let second = owner.reference().await.unwrap();
        assert_ne!(second["uid"], first["uid"]);
        cluster.delete("configmaps", "main");
        cluster.put(
            "configmaps",
            json!({ "metadata": { "name": "main", "uid": "theirs" } }),
        );
        owner.invalidate();
        assert_eq!(owner.reference().await.unwrap()["uid"], "theirs");
        assert_eq!(owner.uid().as_deref(), Some("theirs"));
        assert_eq!(owner.trouble(), None);

        // If creating the owner is forbidden, that is the reported trouble.
        cluster.delete("configmaps", "main");
        cluster.forbid(&["configmaps"]);
        owner.invalidate();
        assert!(owner.reference().await.is_err());
        assert!(owner.trouble().unwrap().contains("config map main"));
        cluster.forbid(&[]);
        owner.reference().await.unwrap();
        assert_eq!(owner.trouble(), None);
    }

    #[tokio::test]
    async fn owner_being_deleted_is_not_referenced() {
        let cluster = Cluster::default();
        let (_serving, access) = cluster.serve().await;
        let ending = json!({ "metadata": {
            "name": "main", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"],
        } });
        cluster.put("configmaps", ending);
        let owner = Owner::new(access, "main");
        assert!(owner.reference().await.is_err());
        assert!(owner.trouble().unwrap().contains("being deleted"));
        cluster.delete("configmaps", "main");
        owner.reference().await.unwrap();
        assert_eq!(owner.trouble(), None);
    }

    #[tokio::test]
    async fn lease_deleted_with_its_owner_is_recreated_under_the_new_owner() {
        let cluster = Cluster::default();
        let (_serving, access) = cluster.serve().await;
        let folder = tempfile::tempdir().unwrap();
        let seat = Membership::join(access, "main", folder.path())
            .await
            .unwrap();
        let refers = || {
            let lease = cluster.get("leases", "main")?;
            Some(lease["metadata"]["ownerReferences"][0]["uid"].clone())
        };
        let owner = || Some(cluster.get("configmaps", "main")?["metadata"]["uid"].clone());
        becomes("the lease", || refers().is_some()).await;
        for _ in 0..2 {
            // As the garbage collector does.
            let before = owner();
            cluster.delete("configmaps", "main");
            cluster.delete("leases", "main");
            becomes("another owner, and the lease under it", || {
                owner().is_some() && owner() != before && owner() == refers()
            })
            .await;
        }
        let mut acts = seat.acts();
        let acting = acts.wait_for(|acts| *acts);
        tokio::time::timeout(Duration::from_secs(60), acting)
            .await
            .unwrap()
            .unwrap();
        seat.give_up().await;
    }

    fn key() -> InstanceKey {
        let (server, spec) = (ServerId::new("git").unwrap(), SpecDigest::from_text("0f"));
        let owner = CredentialOwner::Organization;
        InstanceKey::new(server, owner, Revision::new("1"), Scope::Shared, spec)
    }

    #[tokio::test]
    async fn removed_labels_are_restored_and_leftovers_are_deleted() {
        let cluster = Cluster::default();
        let key = key();
        let wanted = labels(&key, "main");
        let deployment = |manager: &str, labels: &BTreeMap<String, String>, name: &str| {
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {
                    "name": name, "generation": 1, "labels": labels,
                    "annotations": { KEY: key.to_text() },
                    "managedFields": [{ "manager": manager, "operation": "Apply" }],
                },
                "spec": { "replicas": 0, "selector": {}, "template": {} },
            })
        };
        let mut lacking = wanted.clone();
        lacking.remove("mcp-orchestrator.dev/orchestrator");
        cluster.put(
            "deployments",
            deployment("mcp-orchestrator.main", &lacking, key.name()),
        );
        let strange = deployment("mcp-orchestrator.other", &lacking, "mcp-other-1");
        let strange = cluster.put("deployments", strange);
        let secret = |name: &str, instance: &str| {
            let mut labels = wanted.clone();
            labels.insert("app.kubernetes.io/instance".to_owned(), instance.to_owned());
            json!({ "metadata": {
                "name": name, "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z",
            } })
        };
        cluster.put("secrets", secret("mcp-gone-1", "mcp-gone-1"));
        let (_serving, access) = cluster.serve().await;
        let options = KubernetesOptions::new("main", Arc::new(StateKey::new([7; 32])));
        let _backend = KubernetesBackend::new(access, options, LogBook::default(), None);
        becomes("the label", || {
            let now = cluster.get("deployments", key.name()).unwrap();
            now["metadata"]["labels"] == json!(wanted)
        })
        .await;
        becomes("the end of the secret", || {
            cluster.get("secrets", "mcp-gone-1").is_none()
        })
        .await;
        let now = cluster.get("deployments", "mcp-other-1").unwrap();
        assert_eq!(now, strange, "it is another orchestrator's");
    }
}
