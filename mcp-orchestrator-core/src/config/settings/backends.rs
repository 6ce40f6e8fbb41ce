//! Settings of backends.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::id::BackendName;

/// A backend that runs programs, by the name that servers use for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BackendKind {
    /// Processes on the gateway's machine.
    #[default]
    Process,
    /// Pods of a Kubernetes cluster.
    Kubernetes,
    /// A backend that the program registers under this name, in [`app::Backends`](crate::app::Backends).
    Registered(BackendName),
}

impl BackendKind {
    /// The backends that have settings of their own.
    pub const BUILT_IN: [Self; 2] = [Self::Process, Self::Kubernetes];

    /// Returns its name in a file.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Process => "process",
            Self::Kubernetes => "kubernetes",
            Self::Registered(name) => name.as_str(),
        }
    }

    /// Returns the name that servers use for it.
    ///
    /// # Panics
    /// Never: its names are valid.
    pub fn name(&self) -> BackendName {
        BackendName::new(self.as_str()).expect("the word is a name")
    }

    /// Returns `true` if this program was built with it.
    pub fn is_built_in(&self) -> bool {
        match self {
            Self::Process => cfg!(all(unix, feature = "process")),
            Self::Kubernetes => cfg!(feature = "kubernetes"),
            Self::Registered(_) => true,
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where programs run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendSettings {
    /// The backend of programs that name none.
    pub default: BackendKind,
    /// `true` if processes may be started.
    pub processes: bool,
    /// The cluster, if anything runs there.
    pub kubernetes: Option<KubernetesSettings>,
}

/// A cluster, and defaults for all pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// The configured kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// The configured context.
    pub context: Option<String>,
    /// The configured namespace.
    pub namespace: Option<String>,
    /// The orchestrator's name, set on all its objects.
    pub name: String,
    /// The configured image for commands without an image. The specs of servers contain it already.
    pub base_image: Option<String>,
    /// The configured labels of the gateway's own pods.
    pub gateway: BTreeMap<String, String>,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            namespace: None,
            name: Self::NAME.to_owned(),
            base_image: None,
            gateway: BTreeMap::new(),
        }
    }
}

impl KubernetesSettings {
    /// The default name of the orchestrator.
    pub const NAME: &str = "mcp-orchestrator";
}
