//! Shell completion of names: from the running gateway, otherwise from the configuration files.
//!
//! The script that `completions` prints calls this program with the typed words. Options and fixed values are completed
//! by clap.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use mcp_orchestrator_core::config::load;
use mcp_orchestrator_gateway::args::FileArgs;

use crate::connection::Site;
use crate::site_args::{ElsewhereArgs, SiteArgs};

/// The environment variable that is set for completion requests.
pub(crate) const VARIABLE: &str = "MCP_ORCHESTRATOR_COMPLETE";
/// Timeout for names, because the shell waits.
const NAMES_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers a completion request of a shell, if there is one, and exits. Must be called before the runtime starts.
/// `command` returns all arguments that can be completed.
pub(crate) fn answer(command: fn() -> clap::Command) {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// Completes names of servers.
pub(crate) fn servers() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(|names| &names.servers))
}

/// Completes names of gateways.
pub(crate) fn gateways() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(|names| &names.gateways))
}

/// Completes names of servers and of their instances.
pub(crate) fn instances() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let names = names();
        let all = names.servers.iter().chain(&names.instances);
        all.map(CompletionCandidate::new).collect()
    })
}

fn candidates(of: fn(&Names) -> &BTreeSet<String>) -> Vec<CompletionCandidate> {
    of(&names()).iter().map(CompletionCandidate::new).collect()
}

#[derive(Default)]
struct Names {
    servers: BTreeSet<String>,
    gateways: BTreeSet<String>,
    instances: BTreeSet<String>,
}

/// Returns all names; none if they are not available in time.
fn names() -> Names {
    let words: Vec<OsString> = std::env::args_os().collect();
    let Ok(site) = Site::find(&typed(&words)) else {
        return Names::default();
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let asked = async { tokio::time::timeout(NAMES_TIMEOUT, running(&site)).await };
    let running = runtime
        .ok()
        .and_then(|runtime| runtime.block_on(asked).ok());
    running.flatten().unwrap_or_else(|| configured(&site))
}

async fn running(site: &Site) -> Option<Names> {
    let client = site.client();
    let status = client.status().await.ok()?;
    let instances = client.instances().await.unwrap_or_default();
    let gateways = status.gateways.into_iter().map(|gateway| gateway.name);
    Some(Names {
        servers: status.servers.into_iter().collect(),
        gateways: gateways.collect(),
        instances: instances
            .into_iter()
            .filter_map(|instance| instance.instance)
            .collect(),
    })
}

fn configured(site: &Site) -> Names {
    let Ok(loaded) = load(&site.files, &site.options) else {
        return Names::default();
    };
    let settings = loaded.settings;
    Names {
        servers: settings
            .servers
            .iter()
            .map(|one| one.id.to_string())
            .collect(),
        gateways: settings
            .gateways
            .iter()
            .map(|one| one.id.to_string())
            .collect(),
        instances: BTreeSet::new(),
    }
}

/// Returns the arguments typed so far that select a gateway.
fn typed(words: &[OsString]) -> SiteArgs {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let value = |names: &[&str]| {
        let at = words.iter().rposition(|word| {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            names.contains(&name) && (value.is_empty() || name.starts_with("--"))
        })?;
        match words[at].split_once('=') {
            Some((_, value)) => Some(value.to_owned()),
            None => words.get(at + 1).cloned(),
        }
    };
    let named =
        value(&["-c", "--config"]).or_else(|| std::env::var("MCP_ORCHESTRATOR_CONFIG").ok());
    let config = named
        .iter()
        .flat_map(|files| files.split(','))
        .filter(|file| !file.is_empty())
        .map(PathBuf::from);
    let url = value(&["--gateway", "--gateway-url"]).filter(|url| url.contains("://"));
    let url = url.or_else(|| std::env::var("MCP_ORCHESTRATOR_GATEWAY_URL").ok());
    SiteArgs {
        files: FileArgs {
            config: config.collect(),
            state_dir: value(&["--state-dir"]).map(PathBuf::from),
            ..FileArgs::default()
        },
        elsewhere: ElsewhereArgs {
            gateway_url: url,
            token_file: value(&["--token-file"]).map(PathBuf::from),
            ..ElsewhereArgs::default()
        },
    }
}
