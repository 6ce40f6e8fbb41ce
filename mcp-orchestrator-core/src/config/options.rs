//! Options of a load that do not come from files, such as command-line flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::settings::backends::BackendKind;
use super::source::interpolate::Variables;
use crate::id::BackendName;

/// Options of a load that do not come from files.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The values of variables.
    pub variables: Variables,
    /// The value of `${workspaceFolder}` in foreign files; `None` derives it from the location of the file.
    pub workspace: Option<PathBuf>,
    /// The listen address; overrides the files.
    pub listen: Option<SocketAddr>,
    /// The state directory; overrides the files.
    pub state_dir: Option<PathBuf>,
    /// Backend options; override the files.
    pub backends: BackendOptions,
}

impl LoadOptions {
    /// Uses the environment of this process.
    pub fn from_process() -> Self {
        Self {
            variables: Variables::from_process(),
            ..Self::default()
        }
    }
}

/// Backend options from outside the files, such as command-line flags.
#[derive(Clone, Debug, Default)]
pub struct BackendOptions {
    /// The default backend; overrides the files.
    pub backend: Option<BackendKind>,
    /// The names of backends that the program registers, which files may then use.
    pub registered: Vec<BackendName>,
    /// The kubeconfig file; overrides the files.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig context; overrides the files.
    pub context: Option<String>,
    /// The namespace; overrides the files.
    pub namespace: Option<String>,
}
