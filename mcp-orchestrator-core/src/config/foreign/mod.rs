//! Configuration files of other programs.
//!
//! Each format is a small parser in `formats` that creates a [`Draft`] of every server; `draft` converts drafts to
//! entries in our own format and reports what could not be carried over. Values of `env` and `headers` are secrets
//! by type. Names are converted to DNS labels.

mod common_keys;
mod draft;
mod format;
mod formats;
mod inputs;
mod keys;
mod mcp_servers;
mod names;
mod own_format;
mod syntax;
mod texts;
mod unread;
mod working_dir;

use std::path::{Path, PathBuf};

use self::format::Format;
pub(super) use self::inputs::inputs;
pub(super) use self::names::{ForeignEntry, label};
use self::syntax::Syntax;
pub(super) use self::texts::{TextLocation, for_each_text};
use crate::config::source::diagnostics::{KeyPath, Report};
use crate::config::source::node::{Node, Value};
use crate::config::source::parsed_file::ParsedFile;

/// A foreign file: its format, and the path to its servers.
#[derive(Clone, Debug)]
pub(super) struct ForeignFile {
    pub(super) format: Format,
    way: &'static [&'static str],
}

impl ForeignFile {
    /// Recognizes a foreign file; returns `None` if it is not one.
    pub(super) fn in_tree(tree: &Node, file: &Path) -> Option<Self> {
        let found = |format, way| Some(Self { format, way });
        let at = |way: &[&str]| way.iter().try_fold(tree, |node, key| node.get(key));
        if let Some(servers) = tree.get("mcpServers") {
            let list = matches!(servers.value, Value::List(_));
            let format = if list {
                Format::Continue
            } else {
                Format::McpServers
            };
            return found(format, &["mcpServers"]);
        }
        if tree.get("servers").is_some() {
            return own_format::is_vs_code(tree, file).then_some(Self {
                format: Format::VsCode,
                way: &["servers"],
            });
        }
        const NESTED: [(Format, &[&str]); 8] = [
            (Format::Codex, &["mcp_servers"]),
            (Format::Zed, &["context_servers"]),
            (Format::McpServers, &["amp.mcpServers"]),
            (Format::VsCode, &["mcp", "servers"]),
            (Format::VsCode, &["mcp.servers"]),
            (
                Format::VsCode,
                &["customizations", "vscode", "mcp", "servers"],
            ),
            (Format::Continue, &["augment.advanced", "mcpServers"]),
            (
                Format::Continue,
                &["experimental", "modelContextProtocolServers"],
            ),
        ];
        for (format, way) in NESTED {
            if at(way).is_some() {
                return found(format, way);
            }
        }
        if let Some(servers) = tree.get("mcp") {
            return found(formats::of_mcp(servers)?, &["mcp"]);
        }
        if tree.get("extensions").is_some_and(formats::goose::is_one) {
            return found(Format::Goose, &["extensions"]);
        }
        own_format::is_flat(tree).then_some(Self {
            format: Format::Flat,
            way: &[],
        })
    }

    /// Like [`in_tree`](Self::in_tree) for an import: ambiguous `servers` count as foreign.
    pub(super) fn for_import(tree: &Node, file: &Path) -> Option<Self> {
        let theirs = || {
            let servers = tree.get("servers")?;
            (!own_format::is_ours(tree, servers)).then_some(Self {
                format: Format::VsCode,
                way: &["servers"],
            })
        };
        Self::in_tree(tree, file).or_else(theirs)
    }

    /// Returns the path to the servers, for display.
    pub(super) fn key(&self) -> String {
        self.way.join(".")
    }

    /// Returns the path to the servers.
    pub(super) fn path(&self) -> KeyPath {
        let steps = self.way.iter();
        steps.fold(KeyPath::default(), |path, key| path.key(key))
    }

    /// Returns the servers of the file, and reports problems and notices.
    pub(super) fn servers(&self, source: &ParsedFile, report: &mut Report) -> Vec<ForeignEntry> {
        let tree = &source.tree;
        let node = self.way.iter().try_fold(&**tree, |node, key| node.get(key));
        let Some(node) = node else {
            return Vec::new();
        };
        if self.format == Format::McpServers {
            own_keys(source, report);
        }
        let path = self.path();
        if !matches!(node.value, Value::Null | Value::Map(_) | Value::List(_)) {
            let at = source.position(&path);
            let message =
                "expected a mapping of names; if this names a file, use that file instead";
            report.problem(&source.file, at, &path, message);
            return Vec::new();
        }
        unread::report(source, self.way, report);
        // Codex expands no variables. Other programs that use this key do.
        let is_toml = source.file.extension().is_some_and(|end| end == "toml");
        let (mut drafts, syntax) = match self.format {
            Format::McpServers => (mcp_servers::servers(tree, node, &path), Syntax::Editor),
            Format::Flat => (mcp_servers::flat(node, &path), Syntax::Editor),
            Format::VsCode => (mcp_servers::vs_code(node, &path), Syntax::Editor),
            Format::Zed => (formats::zed::servers(node, &path), Syntax::Plain),
            Format::OpenCode => (formats::opencode::servers(node, &path), Syntax::Braces),
            Format::Crush => (formats::crush::servers(node, &path), Syntax::Shell),
            Format::Codex if is_toml => (formats::codex::servers(node, &path), Syntax::Plain),
            Format::Codex => (formats::codex::servers(node, &path), Syntax::Editor),
            Format::Goose => (formats::goose::servers(node, &path), Syntax::Shell),
            Format::Continue => (
                formats::continue_dev::servers(node, &path),
                Syntax::Mustache,
            ),
        };
        inputs::twins(source, report);
        names::entries(source, report, &mut drafts, syntax)
    }
}

/// Returns the kind of a document that describes installable servers instead of configuring a program, or `None`.
/// `import` reads such documents.
pub(super) fn catalog(tree: &Node) -> Option<&'static str> {
    let list = |node: Option<&Node>| node.is_some_and(|it| matches!(it.value, Value::List(_)));
    let map = |key| {
        tree.get(key)
            .is_some_and(|it| matches!(it.value, Value::Map(_)))
    };
    let has = |key| tree.get(key).is_some();
    let described = |node: &Node| {
        node.get("name").is_some() && (list(node.get("packages")) || list(node.get("remotes")))
    };
    let answer = tree.get("server").is_some_and(described);
    let answers =
        list(tree.get("servers")) || list(tree.get("data").and_then(|it| it.get("servers")));
    if has("apiVersion") && has("kind") {
        Some("a Kubernetes resource")
    } else if described(tree) || answer || answers {
        Some("a registry description (server.json)")
    } else if map("remote_servers") || (map("servers") && has("last_updated")) {
        Some("a ToolHive registry")
    } else if map("registry") || (has("name") && has("type") && (has("image") || map("remote"))) {
        Some("a Docker catalog")
    } else {
        None
    }
}

/// Reports keys in our own format in a file with `mcpServers`, where they have no effect.
fn own_keys(source: &ParsedFile, report: &mut Report) {
    for key in own_format::own_keys().chain(["servers"]) {
        if source.tree.get(key).is_none() {
            continue;
        }
        let path = KeyPath::default().key(key);
        let at = source.key_position(&path);
        let message = "this key has no effect in a file with `mcpServers`; put it into a mcp-orchestrator.yaml";
        if own_format::HARMLESS.contains(&key) {
            report.notice(&source.file, at, &path, message);
        } else {
            report.problem(&source.file, at, &path, message);
        }
    }
}

/// Returns the default of `${workspaceFolder}`: the folder that contains `.vscode`, `.cursor` or similar, or the file's
/// own folder.
pub(super) fn workspace(folder: &Path) -> PathBuf {
    let dotted = folder
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'));
    match folder.parent() {
        Some(parent) if dotted => parent.to_path_buf(),
        _ => folder.to_path_buf(),
    }
}
