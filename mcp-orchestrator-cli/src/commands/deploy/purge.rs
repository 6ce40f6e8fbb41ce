//! `purge`: deletes what an orchestrator has left in its state directory and in its cluster.

use std::io::{self, BufRead as _};
use std::path::Path;

use mcp_orchestrator_core::Error;
use mcp_orchestrator_core::app::ClusterLeftovers;
use mcp_orchestrator_core::config::KubernetesSettings;
use mcp_orchestrator_core::state::StateLeftovers;
use mcp_orchestrator_gateway::control::ClientError;
use serde_json::json;

use crate::args::{Output, PurgeArgs};
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::spinner::Spinner;

pub(crate) async fn run(args: &PurgeArgs, form: Output) -> Result<Exit, Failure> {
    let found = Found::look(args).await?;
    let names = found.names();
    if names.is_empty() {
        if form == Output::Json {
            output::json(&json!({ "removed": names }))?;
        } else {
            output::line("nothing is left")?;
        }
        return Ok(Exit::Done);
    }
    if !args.yes {
        found.ask(&names)?;
    }
    found.remove().await?;
    if form == Output::Json {
        output::json(&json!({ "removed": names }))?;
        return Ok(Exit::Done);
    }
    for name in &names {
        output::line(&format!("removed {name}"))?;
    }
    Ok(Exit::Done)
}

/// What can be deleted.
struct Found {
    cluster: Option<ClusterLeftovers>,
    state: Option<StateLeftovers>,
}

impl Found {
    /// Finds what can be deleted. Fails if a gateway is running; the error names it.
    async fn look(args: &PurgeArgs) -> Result<Self, Failure> {
        if let Some(name) = &args.name {
            let cluster = args.files.cluster.clone();
            let settings = KubernetesSettings {
                kubeconfig: cluster.kubeconfig,
                context: cluster.context,
                namespace: cluster.namespace,
                name: name.clone(),
                ..KubernetesSettings::default()
            };
            return Ok(Self {
                cluster: Some(look_at(&settings).await?),
                state: None,
            });
        }
        let site = Site::here(&args.files)?;
        refuse_beside_a_gateway(&site).await?;
        let state = state(&site.state_dir)?;
        let cluster = match site.files.is_empty() {
            true => None,
            false => site.settings()?.backends.kubernetes,
        };
        let cluster = match &cluster {
            Some(settings) => Some(look_at(settings).await?),
            None => None,
        };
        Ok(Self { cluster, state })
    }

    fn names(&self) -> Vec<String> {
        let cluster = self.cluster.iter().flat_map(ClusterLeftovers::names);
        let state = self.state.iter().flat_map(|state| {
            let path = state.path();
            let name = move |name: &&str| path.join(name).display().to_string();
            state.names().iter().map(name)
        });
        cluster.chain(state).collect()
    }

    /// Asks for confirmation on standard input.
    fn ask(&self, names: &[String]) -> Result<(), Failure> {
        if let Some(cluster) = &self.cluster {
            output::note(cluster.said());
        }
        for name in names {
            output::note(&format!("  {name}"));
        }
        output::note("delete all of this? This cannot be undone. [y/N]");
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.map_err(|error| Failure::failed(format!("standard input: {error}")))?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Failure::failed(
                "aborted: nothing was deleted; answer y, or use --yes",
            )),
        }
    }

    async fn remove(self) -> Result<(), Failure> {
        if let Some(cluster) = &self.cluster {
            let waiting = Spinner::on("deleting in the cluster");
            cluster.remove().await.map_err(|error| failure(&error))?;
            drop(waiting);
        }
        if let Some(state) = self.state {
            let path = state.path().to_path_buf();
            if !state.remove().map_err(|error| failure(&error))? {
                let text = format!("{}: what is not ours there was left", path.display());
                output::note(&text);
            }
        }
        Ok(())
    }
}

async fn refuse_beside_a_gateway(site: &Site) -> Result<(), Failure> {
    match site.client().status().await {
        Err(ClientError::NotRunning(_)) => Ok(()),
        Ok(status) => Err(Failure::failed(format!(
            "a gateway runs (process {}): end it first",
            status.pid
        ))),
        Err(error) => Err(error.into()),
    }
}

async fn look_at(settings: &KubernetesSettings) -> Result<ClusterLeftovers, Failure> {
    let waiting = Spinner::on("looking whether a gateway holds the lease");
    let found = settings.leftovers().await.map_err(|error| failure(&error));
    drop(waiting);
    found
}

fn state(path: &Path) -> Result<Option<StateLeftovers>, Failure> {
    StateLeftovers::find(path).map_err(|error| failure(&error))
}

fn failure(error: &Error) -> Failure {
    error.into()
}
