//! What operators see of a server in addition to its instances: what it runs, its history, and why lists omit it.

use serde::{Deserialize, Serialize};

use super::instances::InstanceState;
use crate::catalog::ListKey;
use crate::id::ServerId;
use crate::mask::{masked_args, masked_url};
use crate::orchestrator::state::Orchestrator;
use crate::router::ItemKind;
use crate::server::{Launch, Program, ServerSpec};

/// A configured server and its history since the orchestrator started.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Name of the server.
    pub server: String,
    /// What it runs: `command`, `image` or `url`, and the text of it. Values that may be secret are masked.
    pub runs: (String, String),
    /// State of the server.
    pub state: InstanceState,
    /// Number of tools that it listed last, if known.
    pub tools: Option<usize>,
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls handled by its current instances.
    pub calls: u64,
    /// Number of restarts of its instances.
    pub restarts: u64,
    /// The last failure of one of its instances.
    pub last_error: Option<String>,
}

impl Orchestrator {
    /// Describes a configured server; `None` for any other name.
    pub fn server_info(&self, name: &str) -> Option<ServerInfo> {
        let inner = &self.inner;
        let id = ServerId::new(name).ok()?;
        let spec = inner.spec(&id).ok()?;
        let handles = inner.pool.handles();
        let own = handles.iter().filter(|handle| *handle.key.server() == id);
        let own: Vec<_> = own.collect();
        let mut keys: Vec<_> = own
            .iter()
            .map(|handle| ListKey::from(&handle.key))
            .collect();
        keys.push(ListKey::new(&id, &inner.no_credential));
        let kept = keys.iter().find_map(|key| inner.catalog.peek(key));
        let failure = inner
            .pool
            .server(&id)
            .and_then(|server| server.last_failure());
        let unreachable = own.iter().find_map(|handle| handle.reach.failure());
        let unreachable = unreachable.or_else(|| match own.is_empty() {
            true => inner.connection_checks.failure(&spec),
            false => None,
        });
        let state = match (&failure, &unreachable, own.is_empty()) {
            (Some(_), ..) | (_, Some(_), _) => InstanceState::Failed,
            (None, None, true) => InstanceState::Resting,
            (None, None, false) => InstanceState::Running,
        };
        Some(ServerInfo {
            server: name.to_owned(),
            state,
            runs: runs(&spec.server),
            tools: kept.map(|kept| kept.items(ItemKind::Tool).len()),
            in_flight: own.iter().map(|handle| handle.in_use()).sum(),
            calls: own.iter().map(|handle| handle.served()).sum(),
            restarts: inner.seen.restarts(&id),
            last_error: failure
                .map(|error| error.to_string())
                .or(unreachable)
                .or_else(|| inner.why_not_listed(&id).map(|error| error.to_string()))
                .or_else(|| inner.seen.last_error(&id)),
        })
    }
}

fn runs(server: &ServerSpec) -> (String, String) {
    let (what, text) = match &server.launch {
        Launch::Remote(remote) => ("url", masked_url(&remote.url.to_string())),
        Launch::Program(program) => of_program(program),
    };
    (what.to_owned(), text)
}

fn of_program(program: &Program) -> (&'static str, String) {
    let (what, first, args) = match (&program.command, &program.image) {
        (Some(command), _) => ("command", command.program.as_str(), &command.args),
        (None, image) => ("image", image.as_deref().unwrap_or_default(), &program.args),
    };
    let shown = args.iter().map(ToString::to_string);
    let words = std::iter::once(first.to_owned()).chain(masked_args(shown));
    (what, words.collect::<Vec<_>>().join(" "))
}
