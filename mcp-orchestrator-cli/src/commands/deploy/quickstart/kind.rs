//! Deploys the gateway to a kind cluster on this machine. Every step is idempotent.

use std::time::Duration;

use super::manifests::{Servers, manifests};
use crate::args::QuickstartArgs;
use crate::exit::Failure;
use crate::output;
use crate::subprocess::Tool;

/// Timeout for a query to Docker or kind.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout for creating a cluster; its node image may have to be pulled.
const CLUSTER: Duration = Duration::from_secs(600);
/// Timeout for loading an image into the cluster, and for applying objects.
const STEP: Duration = Duration::from_secs(180);
/// Timeout for the rollout; the gateway's image may have to be pulled.
const READY: &str = "--timeout=180s";
/// Namespace of the gateway in the manifests.
const NAMESPACE: &str = "mcp-orchestrator";
const DEPLOYMENT: &str = "deploy/mcp-orchestrator";

/// The programs needed to run a kind cluster.
#[derive(Debug)]
pub(crate) struct Kind {
    kind: Tool,
    docker: Tool,
    kubectl: Tool,
}

impl Kind {
    /// Finds the programs. The error names the first that is missing.
    pub(crate) async fn find() -> Result<Self, String> {
        let find = |name| Tool::find(name).ok_or_else(|| format!("there is no {name} in PATH"));
        let (kind, docker, kubectl) = (find("kind")?, find("docker")?, find("kubectl")?);
        let format = ["version", "--format", "{{.Server.Version}}"];
        if !docker.succeeds(&format, QUERY_TIMEOUT).await {
            return Err("Docker does not run".to_owned());
        }
        Ok(Self {
            kind,
            docker,
            kubectl,
        })
    }

    /// Creates the cluster if it does not exist, deploys the gateway, and prints how to reach it.
    pub(crate) async fn deploy(&self, args: &QuickstartArgs) -> Result<(), Failure> {
        let image = args.image();
        let servers = match args.config() {
            Some(file) => Servers::of(file)?,
            None => Servers::hello(&image),
        };
        let objects = manifests(&image, &servers)?;
        self.cluster(&args.name).await?;
        self.load(&args.name, &image).await?;
        let context = format!("kind-{}", args.name);
        let context = context.as_str();
        output::note("applying the manifests");
        let apply = ["--context", context, "apply", "--server-side", "-f", "-"];
        self.kubectl.run(&apply, &objects, STEP).await?;
        let ready = ["rollout", "status", DEPLOYMENT, READY];
        let place = ["--context", context, "--namespace", NAMESPACE];
        let ready: Vec<&str> = place.into_iter().chain(ready).collect();
        let waited = self.kubectl.run(&ready, "", STEP * 2).await;
        waited.map_err(|failure| self.about(failure, context))?;
        told(&args.name, context)
    }

    async fn cluster(&self, name: &str) -> Result<(), Failure> {
        let known = self.kind.read(&["get", "clusters"], QUERY_TIMEOUT).await?;
        if known.lines().any(|line| line.trim() == name) {
            output::note(&format!("the kind cluster {name} is there already"));
            return Ok(());
        }
        output::note(&format!("creating the kind cluster {name}"));
        let create = ["create", "cluster", "--name", name];
        self.kind.run(&create, "", CLUSTER).await
    }

    /// Loads an image that exists in the local Docker into the cluster, because the cluster may be unable to pull it.
    async fn load(&self, name: &str, image: &str) -> Result<(), Failure> {
        if !self
            .docker
            .succeeds(&["image", "inspect", image], QUERY_TIMEOUT)
            .await
        {
            output::note(&format!("the cluster fetches {image} itself"));
            return Ok(());
        }
        let load = ["load", "docker-image", image, "--name", name];
        self.kind.run(&load, "", STEP).await
    }

    fn about(&self, mut failure: Failure, context: &str) -> Failure {
        failure.message.push_str(&format!(
            "\n  `kubectl --context {context} --namespace {NAMESPACE} describe pods` may show why"
        ));
        failure
    }
}

fn told(name: &str, context: &str) -> Result<(), Failure> {
    for line in [
        "the gateway runs; to reach it:".to_owned(),
        format!(
            "  kubectl --context {context} --namespace {NAMESPACE} port-forward {DEPLOYMENT} 8080"
        ),
        "  then http://127.0.0.1:8080/mcp, with the token of its first admin:".to_owned(),
        format!(
            "  kubectl --context {context} --namespace {NAMESPACE} get secret mcp-orchestrator-first-admin -o jsonpath='{{.data.token}}' | base64 -d"
        ),
        "to be rid of it:".to_owned(),
        format!("  kind delete cluster --name {name}"),
    ] {
        output::line(&line)?;
    }
    Ok(())
}
