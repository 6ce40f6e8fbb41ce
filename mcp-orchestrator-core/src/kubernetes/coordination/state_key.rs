//! The state key of an orchestrator in a cluster: a Secret that is created once and then only read.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use kube::core::ObjectMeta;

use crate::error::{Error, ErrorKind, Result};
use crate::kubernetes::client::access::Access;
use crate::kubernetes::client::errors::Action;
use crate::kubernetes::client::rejection::is_conflict;
use crate::seal::StateKey;

/// The key of the state key in the Secret's data.
const DATA_KEY: &str = "state.key";

/// Reads the state key of this orchestrator, or creates it. If two processes create it concurrently, one succeeds and
/// both use its key. The Secret has no owner reference, so it outlives the orchestrator's objects.
///
/// # Errors
/// [`Config`](ErrorKind::Config) if the Secret holds no valid key; the Secret is left unchanged.
pub async fn state_key(
    access: &Access,
    orchestrator: &str,
    labels: BTreeMap<String, String>,
) -> Result<Arc<StateKey>> {
    let name = format!("{orchestrator}-state-key");
    let namespace = access.namespace();
    let secrets: Api<Secret> = Api::namespaced(access.client().clone(), namespace);
    let read = || async {
        let found = secrets.get_opt(&name).await;
        let action = Action::new("get", "secrets", namespace).on(&name);
        found.map_err(|error| action.error(error))
    };
    if let Some(found) = read().await? {
        return key(&name, &found);
    }
    let new = StateKey::random();
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        data: Some([(DATA_KEY.to_owned(), ByteString(new.expose().to_vec()))].into()),
        immutable: Some(true),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(Arc::new(new)),
        Err(error) if is_conflict(&error) => match read().await? {
            Some(found) => key(&name, &found),
            None => {
                let text = format!("secret {name} was taken away while it was made: try again");
                Err(Error::new(ErrorKind::Conflict, text))
            }
        },
        Err(error) => Err(Action::new("create", "secrets", namespace)
            .on(&name)
            .error(error)),
    }
}

fn key(name: &str, secret: &Secret) -> Result<Arc<StateKey>> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(DATA_KEY));
    let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.0.as_slice()).ok());
    let text = || {
        format!(
            "secret {name} holds no key of 32 bytes as {DATA_KEY}: put the right one there, or take the secret away for a new one"
        )
    };
    let bytes = bytes.ok_or_else(|| Error::new(ErrorKind::Config, text()))?;
    Ok(Arc::new(StateKey::new(bytes)))
}
