//! Files of other programs: `mcpServers` (Claude, Cursor and most others) and VS Code's `servers` with `inputs`.
//!
//! Their owners add keys of their own, so unknown ones are passed over. Every value of `env` and `headers` is a secret
//! by type. Names become DNS labels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use super::file::{Named, TextOr, Typed};
use super::file_server::{ServerEntry, TransportEntry};
use super::problem::{KeyPath, Report};
use super::scope::Source;
use super::tree::{Node, Value};
use super::typed;
use crate::id::to_dns_label;

/// The keys under which a foreign file has its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `mcpServers`
    McpServers,
    /// `servers`
    VsCode,
}

impl Shape {
    /// The key that holds the servers.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::McpServers => "mcpServers",
            Self::VsCode => "servers",
        }
    }

    /// Whether a file is a foreign one: `mcpServers` always is; `servers` is where `inputs` stand beside it, where the
    /// file is named `mcp.json` as VS Code names it, or where it uses variables that only such files have, and where
    /// no key of ours stands beside it.
    pub(super) fn of(tree: &Node, file: &Path) -> Option<Self> {
        if tree.get("mcpServers").is_some() {
            return Some(Self::McpServers);
        }
        let servers = tree.get("servers")?;
        let ours = OWN_KEYS.iter().any(|key| tree.get(key).is_some());
        let named = file
            .file_name()
            .is_some_and(|name| name == "mcp.json" || name == ".mcp.json");
        let theirs = named || tree.get("inputs").is_some() || has_foreign_variable(servers);
        (theirs && !ours).then_some(Self::VsCode)
    }
}

/// Keys that stand beside `servers` in our own format alone.
const OWN_KEYS: [&str; 18] = [
    "gateways",
    "backend",
    "kubernetes",
    "allow_processes",
    "listen",
    "metrics_listen",
    "state_dir",
    "allowed_origins",
    "allowed_hosts",
    "max_body_bytes",
    "auth",
    "public_url",
    "trusted_proxies",
    "tls",
    "limits",
    "teams",
    "admins",
    "log",
];

fn has_foreign_variable(node: &Node) -> bool {
    match &node.value {
        Value::Scalar { text, .. } => ["${input:", "${env:", "${workspaceFolder"]
            .iter()
            .any(|variable| text.contains(variable)),
        Value::List(items) => items.iter().any(has_foreign_variable),
        Value::Map(entries) => entries
            .iter()
            .any(|entry| has_foreign_variable(&entry.node)),
        Value::Null | Value::Pruned => false,
    }
}

/// Says of keys of ours in a `mcpServers` file that they count for nothing there.
pub(super) fn notice_own_keys(source: &Source, report: &mut Report) {
    for key in OWN_KEYS {
        if source.tree.get(key).is_some() {
            let path = KeyPath::default().key(key);
            let position = source.key_position(&path);
            let message = "this key is not read in a file with `mcpServers`: use a file of its own";
            report.notice(&source.file, position, &path, message);
        }
    }
}

/// A server of a foreign file, translated.
pub(super) struct ForeignEntry {
    /// Its name there.
    pub(super) key: String,
    /// The name that we give it.
    pub(super) label: String,
    /// Where it stands.
    pub(super) path: KeyPath,
    /// What it says.
    pub(super) entry: ServerEntry,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ForeignFile {
    #[serde(rename = "mcpServers")]
    mcp_servers: Option<Named<ForeignServer>>,
    servers: Option<Named<ForeignServer>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ForeignInputs {
    inputs: Option<Vec<ForeignInput>>,
}

#[derive(Deserialize)]
struct ForeignInput {
    id: String,
    default: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ForeignServer {
    #[serde(rename = "type", alias = "transport", alias = "transportType")]
    transport: Option<String>,
    command: Option<TextOr<Vec<Typed>>>,
    args: Option<Vec<Typed>>,
    env: Option<BTreeMap<String, Option<Typed>>>,
    cwd: Option<Typed>,
    url: Option<Typed>,
    #[serde(rename = "serverUrl")]
    server_url: Option<Typed>,
    #[serde(rename = "httpUrl")]
    http_url: Option<Typed>,
    headers: Option<BTreeMap<String, Option<Typed>>>,
    disabled: Option<bool>,
    #[serde(rename = "envFile")]
    env_file: Option<Typed>,
}

/// What `${workspaceFolder}` stands for if nothing else is said: the folder that holds `.vscode`, `.cursor` or the
/// like, else the file's own.
pub(super) fn workspace(folder: &Path) -> PathBuf {
    let dotted = folder
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'));
    match folder.parent() {
        Some(parent) if dotted => parent.to_path_buf(),
        _ => folder.to_path_buf(),
    }
}

/// The defaults of the file's `inputs`.
pub(super) fn inputs(tree: &Node) -> BTreeMap<String, Option<SecretString>> {
    let (file, _) = typed::read::<ForeignInputs>(tree);
    let inputs = file.inputs.unwrap_or_default();
    let pairs = inputs.into_iter();
    pairs
        .map(|input| (input.id, input.default.map(SecretString::from)))
        .collect()
}

/// The servers of a foreign file.
pub(super) fn servers(source: &Source, shape: Shape, report: &mut Report) -> Vec<ForeignEntry> {
    let (file, mismatches) = typed::read::<ForeignFile>(&source.tree);
    for mismatch in mismatches {
        let position = source.position(&mismatch.path);
        report.problem(&source.file, position, &mismatch.path, mismatch.message);
    }
    let servers = match shape {
        Shape::McpServers => file.mcp_servers,
        Shape::VsCode => file.servers,
    };
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    let mut entries = Vec::new();
    for (key, server) in servers.unwrap_or_default().0 {
        let path = KeyPath::default().key(shape.key()).key(&key);
        let at = source.key_position(&path);
        if server.disabled == Some(true) {
            report.notice(
                &source.file,
                at,
                &path,
                "this server is disabled there and left out here",
            );
            continue;
        }
        let Some(label) = to_dns_label(&key) else {
            report.problem(
                &source.file,
                at,
                &path,
                "no letter or digit (a-z, 0-9) stands in this name",
            );
            continue;
        };
        if let Some(other) = taken.insert(label.clone(), key.clone()) {
            let message =
                format!("{other:?} and {key:?} both become the name {label}: rename one of them");
            report.problem(&source.file, at, &path, message);
            continue;
        }
        let entry = translate(source, report, &path, server);
        entries.push(ForeignEntry {
            key,
            label,
            path,
            entry,
        });
    }
    entries
}

fn translate(
    source: &Source,
    report: &mut Report,
    path: &KeyPath,
    server: ForeignServer,
) -> ServerEntry {
    let transport = match server.transport.as_deref() {
        None => None,
        Some("stdio" | "local") => Some(TransportEntry::Stdio),
        Some("http" | "streamable-http" | "streamableHttp" | "streamable_http" | "remote") => {
            Some(TransportEntry::Http)
        }
        Some("sse") => Some(TransportEntry::Sse),
        Some(_) => {
            let path = path.key("type");
            let at = source.position(&path);
            report.problem(
                &source.file,
                at,
                &path,
                "it must be one of stdio, http, streamable-http, sse",
            );
            None
        }
    };
    let url = server.url.or(server.server_url).or(server.http_url);
    let present = |values: Option<BTreeMap<String, Option<Typed>>>| {
        values.map(|values| {
            let set = values
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)));
            set.collect::<BTreeMap<_, _>>()
        })
    };
    // A `type` decides where both stand; then a command.
    let remote = url.is_some()
        && (server.command.is_none()
            || matches!(transport, Some(TransportEntry::Http | TransportEntry::Sse)));
    let (env, headers) = (present(server.env), present(server.headers));
    if remote {
        return ServerEntry {
            url,
            headers: headers.filter(|headers| !headers.is_empty()),
            transport,
            ..ServerEntry::default()
        };
    }
    let (command, args) = match (server.command, server.args) {
        (Some(TextOr::Other(mut list)), Some(args)) => {
            list.extend(args);
            (Some(TextOr::Other(list)), None)
        }
        pair => pair,
    };
    ServerEntry {
        command,
        args,
        env: env.filter(|env| !env.is_empty()),
        env_file: server.env_file,
        cwd: server.cwd,
        transport: transport.filter(|transport| *transport != TransportEntry::Stdio),
        ..ServerEntry::default()
    }
}
