//! Descriptions of servers and instances, for an operator who looks into a problem.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::orchestrator::state::Orchestrator;
use crate::pool::Handle;
use crate::runtime::{Description, InstanceKey, Phase};

impl Orchestrator {
    /// Describes an instance by its public name, or all instances of a server, including stopped ones, oldest first.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) if no instance of this name has run. Errors of the backend are passed on.
    pub async fn describe(&self, name: &str) -> Result<Vec<Description>> {
        let inner = &self.inner;
        let mut keys: Vec<InstanceKey> = inner.seen.all();
        for status in inner.placed().await {
            if !keys.contains(&status.key) {
                keys.push(status.key);
            }
        }
        keys.retain(|key| key.name() == name || key.server().as_str() == name);
        let mut described = Vec::new();
        for key in keys {
            match inner.pool.backend().describe(&key).await {
                Ok(mut description) => {
                    if let Some(why) = unreachable(&inner.pool.handles(), &key) {
                        description.status.phase = Phase::Failed;
                        description.status.reason = Some(why);
                    }
                    described.push(description);
                }
                Err(error) if error.kind() == ErrorKind::NoRoute => {}
                Err(error) => return Err(error),
            }
        }
        if described.is_empty() {
            let known = inner.pool.servers().keys().any(|id| id.as_str() == name);
            let text = if known {
                format!("no instance of server {name} has run yet")
            } else {
                format!("no server and no instance is called {name:?}")
            };
            return Err(Error::new(ErrorKind::NoRoute, text));
        }
        Ok(described)
    }
}

/// Returns why an instance cannot be reached although its backend reports it as running.
fn unreachable(handles: &[Arc<Handle>], key: &InstanceKey) -> Option<String> {
    let handle = handles.iter().find(|handle| handle.key == *key)?;
    handle.reach.failure()
}
