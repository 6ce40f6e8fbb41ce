//! Finds and deletes what an orchestrator has left in the configured cluster.

use crate::config::KubernetesSettings;
use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "kubernetes")]
use crate::kubernetes::{Access, LeftoverObject, delete, lease_holder, leftovers};

/// The objects left in a cluster under the name of an orchestrator that is not running.
#[derive(Debug)]
pub struct ClusterLeftovers {
    said: String,
    #[cfg(feature = "kubernetes")]
    access: Access,
    #[cfg(feature = "kubernetes")]
    found: Vec<LeftoverObject>,
}

impl ClusterLeftovers {
    /// Returns the chosen cluster and namespace, and the reason for the choice.
    pub fn said(&self) -> &str {
        &self.said
    }
}

#[cfg(feature = "kubernetes")]
impl KubernetesSettings {
    /// Finds the objects that the orchestrator has created and that still exist: credentials and keys, which outlive an
    /// uninstall, and everything else with its name that was not created by a chart.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict), naming the holder, if a gateway holds the orchestrator's Lease. Also fails if
    /// the cluster cannot be reached or denies access.
    pub async fn leftovers(&self) -> Result<ClusterLeftovers> {
        let access = self.open().await?;
        let found = leftovers(&access, &self.name).await?;
        if let Some(holder) = lease_holder(&access, &self.name).await? {
            let text = format!(
                "lease {} in namespace {} is held by {holder}: end that gateway first",
                self.name,
                access.namespace()
            );
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        Ok(ClusterLeftovers {
            said: access.said().to_owned(),
            access,
            found,
        })
    }
}

#[cfg(feature = "kubernetes")]
impl ClusterLeftovers {
    /// Returns a line for each object.
    pub fn names(&self) -> Vec<String> {
        self.found.iter().map(ToString::to_string).collect()
    }

    /// Deletes all of them.
    ///
    /// # Errors
    /// The first error of the cluster; objects deleted before it stay deleted.
    pub async fn remove(&self) -> Result<()> {
        for remnant in &self.found {
            delete(&self.access, remnant).await?;
        }
        Ok(())
    }
}

#[cfg(not(feature = "kubernetes"))]
impl KubernetesSettings {
    /// Finds the objects that the orchestrator has left in the cluster.
    ///
    /// # Errors
    /// Always fails: this program was built without the backend.
    pub async fn leftovers(&self) -> Result<ClusterLeftovers> {
        let text = "this program was built without the backend kubernetes";
        std::future::ready(Err(Error::new(ErrorKind::Unsupported, text))).await
    }
}

#[cfg(not(feature = "kubernetes"))]
impl ClusterLeftovers {
    /// Returns nothing: without the backend there are no objects.
    pub fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Does nothing: without the backend there are no objects.
    ///
    /// # Errors
    /// Never fails.
    pub async fn remove(&self) -> Result<()> {
        std::future::ready(Ok(())).await
    }
}
