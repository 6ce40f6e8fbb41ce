//! What an orchestrator has left in the cluster that the settings name, and its end.

use super::settings::KubernetesSettings;
use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "kubernetes")]
use crate::runtime::kubernetes::{Access, Remnant, delete, holder, remains};

/// What is left in a cluster under an orchestrator's name, which no process holds.
#[derive(Debug)]
pub struct ClusterRemains {
    said: String,
    #[cfg(feature = "kubernetes")]
    access: Access,
    #[cfg(feature = "kubernetes")]
    found: Vec<Remnant>,
}

impl ClusterRemains {
    /// Which cluster and namespace were chosen, and why.
    pub fn said(&self) -> &str {
        &self.said
    }
}

#[cfg(feature = "kubernetes")]
impl KubernetesSettings {
    /// What the orchestrator has made in the cluster and what still stands there: credentials and keys that outlive an
    /// uninstall, and all else that bears its name and was not made by a chart.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) where a gateway holds the orchestrator's Lease, with who; where the cluster
    /// cannot be asked, or refuses it.
    pub async fn remains(&self) -> Result<ClusterRemains> {
        let access = self.open().await?;
        let found = remains(&access, &self.name).await?;
        if let Some(holder) = holder(&access, &self.name).await? {
            let text = format!(
                "lease {} in namespace {} is held by {holder}: end that gateway first",
                self.name,
                access.namespace()
            );
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        Ok(ClusterRemains {
            said: access.said().to_owned(),
            access,
            found,
        })
    }
}

#[cfg(feature = "kubernetes")]
impl ClusterRemains {
    /// What is left, a line each.
    pub fn names(&self) -> Vec<String> {
        self.found.iter().map(ToString::to_string).collect()
    }

    /// Deletes all of it.
    ///
    /// # Errors
    /// The first refusal of the cluster; what was deleted before it stays so.
    pub async fn remove(&self) -> Result<()> {
        for remnant in &self.found {
            delete(&self.access, remnant).await?;
        }
        Ok(())
    }
}

#[cfg(not(feature = "kubernetes"))]
impl KubernetesSettings {
    /// What the orchestrator has left in the cluster.
    ///
    /// # Errors
    /// Always: this program was built without the backend.
    pub async fn remains(&self) -> Result<ClusterRemains> {
        let text = "this program was built without the backend kubernetes";
        std::future::ready(Err(Error::new(ErrorKind::Unsupported, text))).await
    }
}

#[cfg(not(feature = "kubernetes"))]
impl ClusterRemains {
    /// Nothing.
    pub fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Nothing is left to delete.
    ///
    /// # Errors
    /// Never.
    pub async fn remove(&self) -> Result<()> {
        std::future::ready(Ok(())).await
    }
}
