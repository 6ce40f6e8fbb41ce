//! The way to the cluster: which kubeconfig, which context, which namespace, and the one client for all of it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::choice::{Source, choose};
use super::client::client;
use super::errors::{AccessError, Action};
use super::refusal::Allowed;
use crate::error::Result;

/// What was named: the rest is found.
#[derive(Clone, Debug, Default)]
pub struct AccessOptions {
    /// The kubeconfig file. Else those of `KUBECONFIG`, else the cluster that this runs in, else `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; else its current one. Whoever names one means a file: the cluster that this runs in has none.
    pub context: Option<String>,
    /// The namespace; else that of the context, or the one that this runs in.
    pub namespace: Option<String>,
}

/// The way to one cluster and one namespace in it.
///
/// Requests wait for an answer for at most 30 seconds and are tried again where the cluster is busy; only watches,
/// logs and attached streams last. A token that a file holds is read again every minute; a program that hands out
/// credentials is asked again ahead of their end; and both where the cluster does not know who asks.
#[derive(Clone)]
pub struct Access {
    client: Client,
    namespace: Arc<str>,
    inside: bool,
    said: Arc<str>,
    allowed: Arc<Allowed>,
}

impl Access {
    /// Reads the configuration and makes the client. It speaks to nobody yet, but may run the program that a
    /// kubeconfig names for credentials.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) with the file, or the context and those that there are.
    pub async fn open(options: &AccessOptions) -> Result<Self> {
        let options = options.clone();
        let opened = tokio::task::spawn_blocking(move || open(&options)).await;
        opened.unwrap_or_else(|_| Err(AccessError::BrokenOff.into()))
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The namespace in which everything of this orchestrator stands.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether this runs in a pod of that cluster, so that other pods are reached by their own addresses.
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// What was chosen and why, in one line.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// What was allowed here before.
    pub(super) fn allowed(&self) -> &Allowed {
        &self.allowed
    }

    /// Asks the cluster for its version: whether it can be reached at all.
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
    let source = choose(options, &|name| std::env::var_os(name), &|path| {
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
        client: client(config)?,
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
        let one = Kubeconfig::read_from(file).map_err(unreadable)?;
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
    // It reads files and nothing else, and is ready at once.
    let loading = Config::from_custom_kubeconfig(merged, &options);
    loading
        .now_or_never()
        .ok_or(AccessError::BrokenOff)?
        .map_err(unreadable)
}
