//! `check`: reports problems of the configuration, name conflicts in its gateways, and failed servers of a running
//! gateway. Starts servers only with `--start`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use mcp_orchestrator_core::app::Findings;
use mcp_orchestrator_core::auth::{LocalAuthenticator, Principal};
use mcp_orchestrator_core::config::{Loaded, Settings, load};
use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_core::orchestrator::Orchestrator;
use mcp_orchestrator_core::router::Router as _;
use mcp_orchestrator_core::runtime::{LogOptions, LogSource};
use mcp_orchestrator_core::{Error, ErrorKind};
use mcp_orchestrator_gateway::control::wire::{
    ConfigProblem, ConflictInfo, ExtensionInfo, InstanceInfo, InstanceState,
};
use mcp_orchestrator_gateway::control::{Client, ClientError};
use serde_json::json;

use crate::args::{CheckArgs, Output};
use crate::commands::deploy::cluster::Cluster;
use crate::commands::operate::ps::object;
use crate::connection::Site;
use crate::exit::{Exit, Failure, without_logs};
use crate::output;

/// Grace period for stopping what `--start` started.
const GRACE: Duration = Duration::from_secs(5);
/// Number of lines of output that are shown of a server that failed.
const OUTPUT_LINES: usize = 10;

/// Number of servers that `--start` starts at the same time.
const AT_ONCE: usize = 4;
/// Errors of a server that only lacks a credential of this user.
const LACKS_CREDENTIAL: [ErrorKind; 4] = [
    ErrorKind::CredentialMissing,
    ErrorKind::CredentialExpired,
    ErrorKind::CredentialRejected,
    ErrorKind::CredentialInsufficient,
];

/// Results of the check.
#[derive(Default)]
struct Found {
    problems: Vec<ConfigProblem>,
    notices: Vec<ConfigProblem>,
    /// Number of configured servers.
    servers: usize,
    /// Set if a gateway runs this configuration.
    runs: bool,
    conflicts: Vec<ConflictInfo>,
    /// Extensions that gateways do not announce.
    extensions: Vec<ExtensionInfo>,
    /// The review of the cluster, if the configuration uses one.
    cluster: Option<Cluster>,
    instances: Vec<InstanceInfo>,
    /// The last output of servers that failed to start in this process.
    output: BTreeMap<String, Vec<String>>,
}

pub(crate) async fn run(args: &CheckArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::here(&args.files)?;
    if site.files.is_empty() {
        site.settings()?;
    }
    let mut found = Found::default();
    let wire = |found: &[_]| found.iter().map(ConfigProblem::from).collect::<Vec<_>>();
    let settings = match load(&site.files, &site.options) {
        Ok(Loaded { settings, notices }) => {
            found.notices = wire(&notices);
            found.servers = settings.servers.len();
            if let Some(cluster) = &settings.backends.kubernetes {
                found.cluster = Some(Cluster::look(cluster).await);
            }
            Some(settings)
        }
        Err(wrong) => {
            (found.problems, found.notices) = (wire(&wrong.problems), wire(&wrong.notices));
            None
        }
    };
    let client = site.client();
    match client.instances().await {
        Ok(_) => found.ask(&client, args.start).await?,
        Err(ClientError::NotRunning(_)) => {
            if let Some(settings) = settings {
                found.look(&settings, args.start).await?;
            }
        }
        Err(error) => return Err(error.into()),
    }
    found.tell(form)
}

impl Found {
    /// Asks the running gateway.
    async fn ask(&mut self, client: &Client, start: bool) -> Result<(), Failure> {
        let failures = if start {
            let status = client.status().await?;
            let probes = status.servers.into_iter().map(|server| async move {
                let answer = client.probe(&server).await;
                Failing::by_gateway(server, answer)
            });
            let answers: Vec<_> = stream::iter(probes).buffered(AT_ONCE).collect().await;
            for gateway in status.gateways {
                // Waits for the lists. The local user may not be a member of every gateway.
                match client.gateway_tools(&gateway.name).await {
                    Ok(_) | Err(ClientError::Refused(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let failures: Result<Vec<_>, _> = answers.into_iter().collect();
            failures?
        } else {
            Vec::new()
        };
        self.runs = true;
        self.instances = client.checked_instances().await?;
        self.add(failures);
        let found = client.conflicts().await?;
        (self.conflicts, self.extensions) = (found.conflicts, found.extensions);
        Ok(())
    }

    /// Finds conflicts without a gateway: from the stored lists, or from servers that are started for this purpose.
    async fn look(&mut self, settings: &Settings, start: bool) -> Result<(), Failure> {
        let principal = Arc::clone(LocalAuthenticator::for_system_user().principal());
        let found = if start {
            self.learn(settings, &principal).await?
        } else {
            let kept = settings.cached_findings(&principal).await;
            kept.map_err(|error| Failure::from(&error))?
        };
        self.conflicts = found.conflicts.iter().map(ConflictInfo::from).collect();
        self.extensions = found.extensions.iter().map(ExtensionInfo::from).collect();
        Ok(())
    }

    async fn learn(
        &mut self,
        settings: &Settings,
        principal: &Arc<Principal>,
    ) -> Result<Findings, Failure> {
        let built = settings
            .build_lazy()
            .await
            .map_err(|error| Failure::from(&error))?;
        let orchestrator = built.orchestrator();
        let probes = settings.servers.iter().map(|server| async move {
            let probed = orchestrator.probe(principal, &server.id).await;
            Failing::here(server.id.as_str(), probed)
        });
        let failures: Vec<_> = stream::iter(probes).buffered(AT_ONCE).collect().await;
        for gateway in built.router().gateways() {
            match orchestrator.learn(principal, &gateway).await {
                // The local user may not be a member of every gateway.
                Err(error) if error.kind() != ErrorKind::NoRoute => {
                    return Err(Failure::from(&error));
                }
                _ => {}
            }
        }
        self.instances = orchestrator.instances().await;
        self.add(failures);
        let failed = self
            .instances
            .iter()
            .filter(|one| one.state == InstanceState::Failed);
        for failed in failed {
            let lines = last_output(orchestrator, &failed.server).await;
            self.output.insert(failed.server.clone(), lines);
        }
        let findings = built.findings(principal).await;
        orchestrator.undo(GRACE).await;
        built.leave().await;
        Ok(findings)
    }

    /// Adds what the probes found to the instances.
    fn add(&mut self, failures: Vec<Option<Failing>>) {
        for failing in failures.into_iter().flatten() {
            let mut own: Vec<_> = self
                .instances
                .iter_mut()
                .filter(|one| one.server == failing.server)
                .collect();
            let known = own.iter().any(|one| one.state == InstanceState::Failed);
            let Some(one) = own.first_mut().filter(|_| !known) else {
                continue;
            };
            if failing.is_broken {
                one.state = InstanceState::Failed;
                one.reason = Some(failing.reason);
            } else {
                one.reason.get_or_insert(failing.reason);
            }
        }
    }

    fn reported(&self) -> Vec<&InstanceInfo> {
        let all = self.instances.iter();
        all.filter(|one| one.state == InstanceState::Failed || one.reason.is_some())
            .collect()
    }

    fn cluster_is_right(&self) -> bool {
        self.cluster.as_ref().is_none_or(Cluster::is_right)
    }

    fn collides(&self) -> bool {
        self.conflicts.iter().any(|conflict| conflict.error)
    }

    fn tell(&self, form: Output) -> Result<Exit, Failure> {
        let reported = self.reported();
        if form == Output::Json {
            let servers: Vec<_> = reported.iter().map(|one| object(one)).collect();
            output::json(&json!({
                "ok": self.problems.is_empty() && !self.collides() && self.cluster_is_right(),
                "problems": self.problems,
                "notices": self.notices,
                "conflicts": self.conflicts,
                "extensions": self.extensions,
                "cluster": self.cluster.as_ref().map(Cluster::json),
                "reported": servers,
                "gateway": self.runs.then_some(json!({ "reported": servers })),
            }))?;
        } else {
            self.print(&reported)?;
        }
        let broken = reported
            .iter()
            .any(|instance| instance.state == InstanceState::Failed);
        let wrong = !self.problems.is_empty() || self.collides() || !self.cluster_is_right();
        Ok(if wrong {
            Exit::Usage
        } else if broken {
            Exit::Failed
        } else {
            Exit::Done
        })
    }

    fn print(&self, reported: &[&InstanceInfo]) -> Result<(), Failure> {
        for problem in &self.problems {
            output::line(&format!("error: {}", place(problem)))?;
        }
        for notice in &self.notices {
            output::line(&format!("notice: {}", place(notice)))?;
        }
        for conflict in &self.conflicts {
            let word = if conflict.error { "error" } else { "notice" };
            output::line(&format!("{word}: {}", output::clean(&conflict.message)))?;
        }
        for extension in &self.extensions {
            output::line(&format!("notice: {}", output::clean(&extension.message)))?;
        }
        match self.problems.len() {
            0 if self.collides() => output::line(
                "names collide: hide all but one with `tools`, or set `tool_names: prefixed`",
            )?,
            0 => output::line(&format!(
                "configuration OK ({})",
                output::count(self.servers, "server")
            ))?,
            1 => output::line("the configuration has 1 problem")?,
            count => output::line(&format!("the configuration has {count} problems"))?,
        }
        if let Some(cluster) = &self.cluster {
            cluster.print()?;
        }
        if !self.runs {
            output::line("no gateway is running")?;
        }
        for instance in reported {
            let reason = instance.reason.as_deref().unwrap_or("it is not running");
            let last = self.output.get(&instance.server);
            let last = last.filter(|lines| !lines.is_empty());
            let reason = match last {
                Some(_) => without_logs(reason),
                None => reason,
            };
            let reason = output::clean(reason);
            // Most reasons begin with the server's name.
            let name = format!("server {}", instance.server);
            output::line(&match reason.starts_with(&name) {
                true => reason,
                false => format!("{name}: {reason}"),
            })?;
            for text in last.into_iter().flatten() {
                output::line(&format!("  | {}", output::clean(text)))?;
            }
        }
        if self.runs && reported.is_empty() {
            output::line("the running gateway reports no problems")?;
        }
        Ok(())
    }
}

/// A server that did not answer its probe.
struct Failing {
    server: String,
    reason: String,
    /// `false` if the server only lacks a credential.
    is_broken: bool,
}

impl Failing {
    fn here(server: &str, probed: Result<(), Error>) -> Option<Self> {
        let error = probed.err()?;
        Some(Self {
            server: server.to_owned(),
            reason: error.to_string(),
            is_broken: !LACKS_CREDENTIAL.contains(&error.kind()),
        })
    }

    fn by_gateway(
        server: String,
        probed: Result<(), ClientError>,
    ) -> Result<Option<Self>, Failure> {
        let refusal = match probed {
            Ok(()) => return Ok(None),
            Err(ClientError::Refused(refusal)) => refusal,
            Err(error) => return Err(error.into()),
        };
        let lacks = LACKS_CREDENTIAL
            .iter()
            .any(|kind| kind.word() == refusal.kind);
        Ok(Some(Self {
            server,
            reason: refusal.message,
            is_broken: !lacks,
        }))
    }
}

/// Returns the last lines that a server wrote.
async fn last_output(orchestrator: &Orchestrator, server: &str) -> Vec<String> {
    let Ok(id) = ServerId::new(server) else {
        return Vec::new();
    };
    let options = LogOptions {
        tail: Some(OUTPUT_LINES),
        ..LogOptions::default()
    };
    let Ok(lines) = orchestrator.logs(&id, None, options).await else {
        return Vec::new();
    };
    let lines = lines.filter_map(|line| {
        let line = line
            .ok()
            .filter(|line| line.source != LogSource::Orchestrator);
        std::future::ready(line.map(|line| line.text))
    });
    lines.take(OUTPUT_LINES).collect().await
}

/// Formats a problem as compilers do: `file:line:column: key: message`.
pub(crate) fn place(problem: &ConfigProblem) -> String {
    let mut text = problem.file.display().to_string();
    if let (Some(line), Some(column)) = (problem.line, problem.column) {
        text.push_str(&format!(":{line}:{column}"));
    }
    if !problem.key.is_empty() {
        text.push_str(&format!(": {}", problem.key));
    }
    format!("{text}: {}", problem.message)
}
