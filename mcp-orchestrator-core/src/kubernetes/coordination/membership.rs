//! The orchestrator's own objects in a cluster: the owner of all objects, the Lease and the state.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::bootstrap_secret::BootstrapSecret;
use super::lease::{LeaderElector, LeaseOptions, LeaseStatus, identity};
use super::owner::Owner;
use super::state_key::state_key;
use crate::error::{ErrorKind, Result};
use crate::kubernetes::client::access::Access;
use crate::kubernetes::names::component_labels;
use crate::seal::StateKey;

/// The membership of one orchestrator in a cluster. The Lease is acquired and renewed for as long as this value
/// exists.
pub struct Membership {
    access: Access,
    name: String,
    owner: Owner,
    holder: LeaderElector,
}

impl Membership {
    /// Finds or creates the owner and begins to acquire the Lease. `state` is the state directory, which
    /// distinguishes processes outside the cluster.
    ///
    /// # Errors
    /// If access to the owner is refused. An unreachable cluster is not an error.
    pub async fn join(access: Access, name: impl Into<String>, state: &Path) -> Result<Self> {
        let name = name.into();
        let owner = Owner::new(access.clone(), name.clone());
        match owner.refresh().await {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut) => {
                tracing::debug!(%error, "the owner is read once the cluster answers");
            }
            // It is created again once the current one has been deleted.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                tracing::warn!(%error, "the owner of all instances");
            }
            Err(error) => return Err(error),
        }
        let options = LeaseOptions {
            identity: identity(access.is_inside(), Some(state)),
            labels: component_labels(&name, "lease"),
            owner: Some(owner.clone()),
            name: name.clone(),
        };
        let holder = LeaderElector::start(&access, options);
        Ok(Self {
            access,
            name,
            owner,
            holder,
        })
    }

    /// Returns the orchestrator's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the access to the cluster.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Returns a receiver that reports who holds the Lease.
    pub fn held(&self) -> watch::Receiver<LeaseStatus> {
        self.holder.held()
    }

    /// Returns a receiver that reports whether this process may write.
    pub fn acts(&self) -> watch::Receiver<bool> {
        self.holder.acts()
    }

    /// Returns the owner of all objects of the orchestrator.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Returns why nothing can start: the owner of all instances is gone and cannot be created again.
    pub fn trouble(&self) -> Option<String> {
        self.owner.trouble()
    }

    /// Returns the state key, stored in a Secret that outlives the orchestrator.
    ///
    /// # Errors
    /// If the Secret can be neither read nor created.
    pub async fn state_key(&self) -> Result<Arc<StateKey>> {
        state_key(
            &self.access,
            &self.name,
            component_labels(&self.name, "state"),
        )
        .await
    }

    /// Returns the Secret that hands over the token of the first administrator.
    pub fn first_admin(&self) -> BootstrapSecret {
        let name = format!("{}-first-admin", self.name);
        let labels = component_labels(&self.name, "first-admin");
        BootstrapSecret::new(self.access.clone(), name, labels)
    }

    /// Releases the Lease, so that the next process need not wait until it expires.
    pub async fn give_up(self) {
        self.holder.release().await;
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("access", &self.access)
            .field("name", &self.name)
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}
