//! Access to the cluster: the kubeconfig, the context, the namespace, and the client that everything shares.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::builder::build;
use super::errors::{AccessError, Action};
use super::infer::{AccessOptions, Source, infer};
use super::used_rights::UsedRights;
use crate::error::Result;
use crate::files;
use crate::limits::MAX_CONFIG_FILE_LEN;

/// Access to one namespace of one cluster.
///
/// Requests time out after 30 seconds and are retried while the cluster is overloaded; watches, logs and attached
/// streams may last longer. A token file is read again every minute, and a credential plugin is called again before
/// its credential expires. Both are also consulted again after a 401 response.
#[derive(Clone)]
pub struct Access {
    client: Client,
    namespace: Arc<str>,
    inside: bool,
    said: Arc<str>,
    allowed: Arc<UsedRights>,
}

impl Access {
    /// Reads the configuration and creates the client. Sends no request, but may run the credential plugin of the
    /// kubeconfig.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) with the file, or with the requested context and the available ones.
    pub async fn open(options: &AccessOptions) -> Result<Self> {
        let options = options.clone();
        let opened = tokio::task::spawn_blocking(move || open(&options)).await;
        opened.unwrap_or_else(|_| Err(AccessError::BrokenOff.into()))
    }

    /// Returns the client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the namespace of all objects of this orchestrator.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns `true` if this process runs in a pod of that cluster and can reach other pods by their addresses.
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// Returns what was chosen and why, in one line.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// Returns the rights that this process has used successfully.
    pub(crate) fn allowed(&self) -> &UsedRights {
        &self.allowed
    }

    /// Requests the version of the API server, to check that the cluster is reachable.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) with what was chosen and why it failed.
    pub async fn reach(&self) -> Result<String> {
        let version = self.client.apiserver_version().await;
        let version = version.map_err(|error| {
            let action = Action::new("get", "/version", "");
            AccessError::Unreachable(self.said.to_string(), Box::new(action.error(error)))
        })?;
        Ok(version.git_version)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({})", self.said)
    }
}

fn open(options: &AccessOptions) -> Result<Access> {
    let source = infer(options, &|name| std::env::var_os(name), &|path| {
        path.exists()
    })?;
    let mut config = load(&source, options.context.as_deref())?;
    if let Some(namespace) = &options.namespace {
        config.default_namespace.clone_from(namespace);
    }
    let unchecked = if config.accept_invalid_certs {
        ", without a look at its certificate"
    } else {
        ""
    };
    let namespace: Arc<str> = config.default_namespace.as_str().into();
    let said = format!(
        "cluster {}{unchecked}, namespace {namespace}, by {source}",
        config.cluster_url
    );
    Ok(Access {
        client: build(config)?,
        namespace,
        inside: matches!(source, Source::Inside),
        said: said.into(),
        allowed: Arc::default(),
    })
}

fn load(source: &Source, context: Option<&str>) -> Result<Config, AccessError> {
    let files = match source {
        Source::Inside => {
            return Config::incluster().map_err(|error| AccessError::Inside(error.to_string()));
        }
        Source::Files { files, .. } => files,
    };
    let unreadable = |error: kube::config::KubeconfigError| {
        AccessError::Kubeconfig(source.to_string(), error.to_string())
    };
    let mut merged = Kubeconfig::default();
    for file in files {
        let one = match file.is_file() {
            true => Kubeconfig::read_from(file).map_err(unreadable)?,
            // A pipe has no folder that paths in it could be relative to.
            false => {
                let unread = |why: String| AccessError::Kubeconfig(source.to_string(), why);
                let bytes = files::read(file, MAX_CONFIG_FILE_LEN)
                    .map_err(|error| unread(error.to_string()))?;
                let text =
                    std::str::from_utf8(&bytes).map_err(|error| unread(error.to_string()))?;
                Kubeconfig::from_yaml(text).map_err(unreadable)?
            }
        };
        merged = merged.merge(one).map_err(unreadable)?;
    }
    let wanted = context
        .map(str::to_owned)
        .or_else(|| merged.current_context.clone())
        .filter(|name| !name.is_empty());
    let known: Vec<String> = merged.contexts.iter().map(|one| one.name.clone()).collect();
    match wanted {
        None => {
            return Err(AccessError::NoContext(source.to_string(), known.join(", ")));
        }
        Some(name) if !known.contains(&name) => {
            return Err(AccessError::UnknownContext(
                source.to_string(),
                name,
                known.join(", "),
            ));
        }
        Some(_) => {}
    }
    let options = KubeConfigOptions {
        context: wanted,
        ..KubeConfigOptions::default()
    };
    // It only reads files, so the future is ready at once.
    let loading = Config::from_custom_kubeconfig(merged, &options);
    loading
        .now_or_never()
        .ok_or(AccessError::BrokenOff)?
        .map_err(unreadable)
}
