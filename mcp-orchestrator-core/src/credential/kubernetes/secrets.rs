//! Reads Secrets that the configuration names, when they are needed.
//!
//! A caller that could choose the name could read any Secret, so only the configuration names them. Secrets in which
//! an orchestrator stores its own data, such as other users' credentials, are rejected.

#[cfg(all(test, feature = "test-util"))]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::credential::{SecretData, SecretReader};
use crate::error::{Error, ErrorKind, Result};
use crate::kubernetes::Access;
use crate::kubernetes::client::errors::Action;
use crate::kubernetes::names::ORCHESTRATOR;

/// How long the last value is used while the API server is unreachable.
const MAX_STALE_AGE: Duration = Duration::from_mins(10);

/// Reads Secrets of one namespace. While the API server is unreachable, a value read within the last ten minutes is
/// used, so that calls to running instances keep working.
#[derive(Debug)]
pub struct ClusterSecrets {
    access: Access,
    last: Mutex<BTreeMap<String, Last>>,
}

#[derive(Debug)]
struct Last {
    at: Instant,
    data: Arc<SecretData>,
}

impl ClusterSecrets {
    /// Creates a reader for the namespace of `access`. Nothing is requested yet.
    pub fn new(access: Access) -> Self {
        Self {
            access,
            last: Mutex::default(),
        }
    }

    async fn ask(&self, name: &str) -> Result<Option<Arc<SecretData>>> {
        let namespace = self.access.namespace();
        let secrets: Api<Secret> = Api::namespaced(self.access.client().clone(), namespace);
        let found = secrets.get_opt(name).await;
        let action = Action::new("get", "secrets", namespace).on(name);
        let Some(secret) = found.map_err(|error| action.error(error))? else {
            return Ok(None);
        };
        let labels = secret.metadata.labels.as_ref();
        if labels.is_some_and(|labels| labels.contains_key(ORCHESTRATOR)) {
            let text = format!(
                "secret {name} is what an orchestrator keeps for others: name one of your own"
            );
            return Err(Error::new(ErrorKind::Config, text));
        }
        let data = secret.data.unwrap_or_default().into_iter();
        let data = data.map(|(key, value)| (key, value.0.into()));
        Ok(Some(Arc::new(data.collect())))
    }

    /// Remembers the last value, or forgets it if the Secret was deleted.
    fn keep(&self, name: &str, data: Option<&Arc<SecretData>>) {
        let now = Instant::now();
        let mut last = self.last.lock();
        last.retain(|known, last| known != name && now.duration_since(last.at) < MAX_STALE_AGE);
        if let Some(data) = data {
            let data = Arc::clone(data);
            last.insert(name.to_owned(), Last { at: now, data });
        }
    }

    fn kept(&self, name: &str) -> Option<Arc<SecretData>> {
        let last = self.last.lock();
        let last = last
            .get(name)
            .filter(|last| last.at.elapsed() < MAX_STALE_AGE)?;
        Some(Arc::clone(&last.data))
    }
}

#[async_trait]
impl SecretReader for ClusterSecrets {
    async fn read(&self, name: &str) -> Result<Option<Arc<SecretData>>> {
        let error = match self.ask(name).await {
            Ok(data) => {
                self.keep(name, data.as_ref());
                return Ok(data);
            }
            Err(error) => error,
        };
        let unanswered = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut);
        match self.kept(name).filter(|_| unanswered) {
            Some(data) => {
                tracing::debug!(secret = name, %error, "what was read last counts");
                Ok(Some(data))
            }
            None => Err(error),
        }
    }
}
