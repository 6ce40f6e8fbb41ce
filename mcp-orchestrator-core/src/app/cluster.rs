//! The configured Kubernetes cluster: access to it, and a check of the required permissions.

use std::sync::Arc;

use secrecy::SecretString;

use super::retry::WhenUnavailable;
use crate::config::{BackendSettings, KubernetesSettings};
use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "kubernetes")]
use crate::kubernetes::{Access, AccessOptions, BootstrapSecret, LeaseStatus, Membership, review};
#[cfg(feature = "kubernetes")]
use crate::runtime::kubernetes::{KubernetesBackend, KubernetesOptions};
use crate::runtime::{LogBook, RuntimeBackend};
use crate::seal::StateKey;
#[cfg(feature = "kubernetes")]
use crate::state::ConfigMapState;
use crate::state::{StateDir, StateStore};

/// Result of a review of the cluster. The review changes nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterReview {
    /// The chosen cluster and namespace, and the reason for the choice.
    pub said: String,
    /// The missing permissions, each with the Role rule that grants it.
    pub denied: Vec<String>,
}

impl ClusterReview {
    /// Returns an error unless all permissions are granted.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) with all missing permissions.
    pub fn allowed(&self) -> Result<()> {
        if self.denied.is_empty() {
            return Ok(());
        }
        let text = format!(
            "{}: {} rights are missing:\n  {}",
            self.said,
            self.denied.len(),
            self.denied.join("\n  ")
        );
        Err(Error::new(ErrorKind::Config, text))
    }
}

#[cfg(feature = "kubernetes")]
impl KubernetesSettings {
    /// Checks that the cluster is reachable, has the namespace, and grants all required permissions.
    ///
    /// # Errors
    /// Fails if the kubeconfig cannot be used, the cluster cannot be reached, or the namespace does not exist.
    pub async fn review(&self) -> Result<ClusterReview> {
        look(&self.open().await?).await
    }

    /// Opens access to the cluster.
    pub(crate) async fn open(&self) -> Result<Access> {
        let options = AccessOptions {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
        };
        Access::open(&options).await
    }
}

#[cfg(feature = "kubernetes")]
async fn look(access: &Access) -> Result<ClusterReview> {
    let denied = review(access).await?;
    Ok(ClusterReview {
        said: access.said().to_owned(),
        denied: denied.iter().map(ToString::to_string).collect(),
    })
}

/// The cluster resources of a running orchestrator; empty if nothing runs in a cluster.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    #[cfg(feature = "kubernetes")]
    membership: parking_lot::Mutex<Option<Membership>>,
    #[cfg(feature = "kubernetes")]
    held: Option<tokio::sync::watch::Receiver<LeaseStatus>>,
    documents: Option<Arc<dyn StateStore>>,
    state_key: Option<Arc<StateKey>>,
    /// Set once the membership was released; running instances are still served.
    #[cfg(feature = "kubernetes")]
    left: std::sync::atomic::AtomicBool,
}

impl Cluster {
    /// Returns the document store in the cluster, if it is used.
    pub(crate) fn documents(&self) -> Option<Arc<dyn StateStore>> {
        self.documents.clone()
    }

    /// Returns the state key stored in the cluster, if it is used.
    pub(crate) fn state_key(&self) -> Option<Arc<StateKey>> {
        self.state_key.clone()
    }
}

#[cfg(feature = "kubernetes")]
impl Cluster {
    /// Logs the chosen cluster, rejects it if a permission or the namespace is missing, and takes the orchestrator's
    /// membership there. A cluster that does not respond yet is not an error: it is waited for.
    pub(crate) async fn enter(
        backends: &BackendSettings,
        state: &StateDir,
        when_unavailable: WhenUnavailable,
    ) -> Result<Self> {
        let Some(settings) = &backends.kubernetes else {
            return Ok(Self::default());
        };
        let access = settings.open().await?;
        tracing::info!("{}", access.said());
        match look(&access).await {
            Ok(found) => found.allowed()?,
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut) => {
                tracing::warn!(%error, "the cluster does not answer yet");
            }
            Err(error) => return Err(error),
        }
        let membership = Membership::join(access, settings.name.clone(), state.path()).await?;
        let inside = membership.access().is_inside();
        // Inside a cluster, the local disk does not outlive the pod.
        let state_key = match inside {
            true => Some(when_unavailable.retry(|| membership.state_key()).await?),
            false => None,
        };
        Ok(Self {
            held: Some(membership.held()),
            documents: inside.then(|| Arc::new(ConfigMapState::of(&membership)) as _),
            state_key,
            membership: Some(membership).into(),
            left: std::sync::atomic::AtomicBool::new(false),
        })
    }

    /// Offers a token for the first admin. Returns the name of the Secret and the token that it holds.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if this process does not run in a cluster.
    pub(crate) async fn offer_first_admin(
        &self,
        token: SecretString,
    ) -> Result<(String, SecretString)> {
        let place = self.handover()?;
        let offered = place.offer(token).await?;
        Ok((place.name().to_owned(), offered))
    }

    /// Records that the offered token is valid now.
    pub(crate) async fn mark_first_admin_valid(&self) -> Result<()> {
        self.handover()?.counts().await
    }

    fn handover(&self) -> Result<BootstrapSecret> {
        let membership = self.membership();
        let inside = membership
            .as_ref()
            .filter(|membership| membership.access().is_inside());
        inside.map(Membership::first_admin).ok_or_else(no_place)
    }

    fn membership(&self) -> parking_lot::MutexGuard<'_, Option<Membership>> {
        self.membership.lock()
    }

    /// Returns the backend that runs pods.
    pub(crate) fn pods(
        &self,
        backends: &BackendSettings,
        logs: &LogBook,
        key: &Arc<StateKey>,
    ) -> Option<Arc<dyn RuntimeBackend>> {
        let settings = backends.kubernetes.as_ref()?;
        let membership = self.membership();
        let membership = membership.as_ref()?;
        let mut options = KubernetesOptions::new(settings.name.clone(), Arc::clone(key));
        if !settings.gateway.is_empty() {
            options.gateway_labels.clone_from(&settings.gateway);
        }
        if let Some(image) = &settings.base_image {
            options.base_image.clone_from(image);
        }
        options.owner = Some(membership.owner().clone());
        let access = membership.access().clone();
        let pods = KubernetesBackend::new(access, options, logs.clone(), Some(membership.acts()));
        Some(Arc::new(pods))
    }

    pub(crate) fn check_active(&self) -> Result<(), String> {
        let held = self.held.as_ref().map(|held| held.borrow().clone());
        if self.left.load(std::sync::atomic::Ordering::Acquire) {
            return Ok(());
        }
        let trouble = self.membership().as_ref().and_then(Membership::trouble);
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
        match held {
            // A process that cannot renew the Lease still serves running instances.
            None | Some(LeaseStatus::Ours | LeaseStatus::Unsure(_)) => Ok(()),
            Some(waiting) => Err(format!("the orchestrator's lease: {waiting}")),
        }
    }

    pub(crate) async fn leave(&self) {
        let membership = self.membership().take();
        self.left.store(true, std::sync::atomic::Ordering::Release);
        if let Some(membership) = membership {
            membership.give_up().await;
        }
    }
}

#[cfg(not(feature = "kubernetes"))]
impl Cluster {
    pub(crate) async fn enter(
        backends: &BackendSettings,
        _: &StateDir,
        _: WhenUnavailable,
    ) -> Result<Self> {
        match &backends.kubernetes {
            None => Ok(Self::default()),
            Some(cluster) => Err(cluster
                .review()
                .await
                .map_or_else(|error| error, |_| unbuilt())),
        }
    }

    pub(crate) fn pods(
        &self,
        _: &BackendSettings,
        _: &LogBook,
        _: &Arc<StateKey>,
    ) -> Option<Arc<dyn RuntimeBackend>> {
        None
    }

    pub(crate) async fn offer_first_admin(
        &self,
        _: SecretString,
    ) -> Result<(String, SecretString)> {
        std::future::ready(Err(no_place())).await
    }

    pub(crate) async fn mark_first_admin_valid(&self) -> Result<()> {
        std::future::ready(Err(no_place())).await
    }

    pub(crate) fn check_active(&self) -> Result<(), String> {
        Ok(())
    }

    pub(crate) async fn leave(&self) {
        std::future::ready(()).await;
    }
}

fn no_place() -> Error {
    let text = "auth.first_admin: a Secret is made by a gateway that runs its servers as pods and runs in that cluster \
                itself; elsewhere make a token by `token create`";
    Error::new(ErrorKind::Config, text)
}

#[cfg(not(feature = "kubernetes"))]
fn unbuilt() -> Error {
    let text = "this program was built without the backend kubernetes";
    Error::new(ErrorKind::Unsupported, text)
}

#[cfg(not(feature = "kubernetes"))]
impl KubernetesSettings {
    /// Checks that the cluster is reachable, has the namespace, and grants all required permissions.
    ///
    /// # Errors
    /// Always fails: this program was built without the backend.
    pub async fn review(&self) -> Result<ClusterReview> {
        std::future::ready(Err(unbuilt())).await
    }
}
