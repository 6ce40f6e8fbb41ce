//! What an orchestrator has in its cluster besides instances: the owner of all, the Lease, the state.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::access::Access;
use super::handover::Handover;
use super::lease::{Held, Holder, LeaseOptions, identity};
use super::names::component_labels;
use super::owner::Owner;
use super::state_key::state_key;
use crate::error::{ErrorKind, Result};
use crate::seal::StateKey;
use crate::state::{ConfigMapState, StateStore};

/// The place of one orchestrator in a cluster. While it lives, the Lease is asked for and kept.
pub struct Seat {
    access: Access,
    name: String,
    owner: Owner,
    holder: Holder,
}

impl Seat {
    /// Takes it: finds or makes the owner, and begins to ask for the Lease. `state` is the state directory, which tells
    /// processes outside of the cluster apart.
    ///
    /// # Errors
    /// Where the owner is refused. A cluster that does not answer yet is no error.
    pub async fn take(access: Access, name: impl Into<String>, state: &Path) -> Result<Self> {
        let name = name.into();
        let owner = Owner::new(access.clone(), name.clone());
        match owner.refresh().await {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut) => {
                tracing::debug!(%error, "the owner is read once the cluster answers");
            }
            // It is made anew once the one before is gone.
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
        let holder = Holder::start(&access, options);
        Ok(Self {
            access,
            name,
            owner,
            holder,
        })
    }

    /// The way to the cluster.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Who holds the Lease, now and from now on.
    pub fn held(&self) -> watch::Receiver<Held> {
        self.holder.held()
    }

    /// Whether this process may write, now and from now on.
    pub fn acts(&self) -> watch::Receiver<bool> {
        self.holder.acts()
    }

    /// The owner of all that goes with the orchestrator.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Why nothing can start: the owner of all instances is gone, and cannot be made anew.
    pub fn trouble(&self) -> Option<String> {
        self.owner.trouble()
    }

    /// The state key, in a Secret that outlives the orchestrator.
    ///
    /// # Errors
    /// Where it can be neither read nor made.
    pub async fn state_key(&self) -> Result<Arc<StateKey>> {
        state_key(
            &self.access,
            &self.name,
            component_labels(&self.name, "state"),
        )
        .await
    }

    /// By which the token of a first admin is handed over.
    pub fn first_admin(&self) -> Handover {
        let name = format!("{}-first-admin", self.name);
        let labels = component_labels(&self.name, "first-admin");
        Handover::new(self.access.clone(), name, labels)
    }

    /// Documents in the cluster, which go with the orchestrator.
    pub fn documents(&self) -> Arc<dyn StateStore> {
        let labels = component_labels(&self.name, "state");
        let state = ConfigMapState::new(self.access.clone(), self.name.clone(), labels);
        let state = state.while_acting(self.acts());
        Arc::new(state.owned_by(self.owner.clone()))
    }

    /// Gives the Lease up, so that the next process need not wait for its end.
    pub async fn give_up(self) {
        self.holder.release().await;
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat")
            .field("access", &self.access)
            .field("name", &self.name)
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}
