//! Merges several files, in order: a later entry replaces an earlier one, and all problems are collected.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::foreign::{self, ForeignFile};
use super::options::LoadOptions;
use crate::auth::People;
use crate::config::resolve::backends::Backends;
use crate::config::resolve::gateways::{self, Catalog};
use crate::config::resolve::globals::Globals;
use crate::config::resolve::people;
use crate::config::resolve::scope::Scope;
use crate::config::resolve::server;
use crate::config::resolve::state_dir;
use crate::config::schema::file::File;
use crate::config::schema::gateway::GatewayEntry;
use crate::config::schema::server::ServerEntry;
use crate::config::settings::Settings;
use crate::config::settings::credentials::ConfiguredCredential;
use crate::config::settings::gateway::GatewaySettings;
use crate::config::source::deserialize;
use crate::config::source::diagnostics::{KeyPath, Notice, Position, Problems, Report};
use crate::config::source::interpolate::Dialect;
use crate::config::source::jsonc;
use crate::config::source::node::{Node, Value};
use crate::config::source::parsed_file::ParsedFile;
use crate::config::source::toml;
use crate::config::source::yaml;
use crate::id::{GatewayId, ServerId};
use crate::server::{Launch, ServerSpec};

/// A valid server and the sources of its secrets.
type ResolvedServer = (Arc<ServerSpec>, Vec<ConfiguredCredential>);

/// Content of a file, by its format.
pub(super) enum Content {
    Own(Box<File>),
    Foreign(ForeignFile),
}

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Notices, for example about a program that is not found.
    pub notices: Vec<Notice>,
}

/// The files to merge, and the result so far.
pub(super) struct Merge<'o> {
    options: &'o LoadOptions,
    report: Report,
    files: Vec<(ParsedFile, Content)>,
    servers: Vec<ResolvedServer>,
    /// The file that contained each server last. Includes servers with problems.
    names: BTreeMap<String, Arc<Path>>,
    gateways: BTreeMap<String, (ParsedFile, GatewayEntry)>,
    globals: Globals,
    people: People,
    backends: Backends,
}

impl<'o> Merge<'o> {
    pub(super) fn new(report: Report, options: &'o LoadOptions) -> Self {
        Self {
            options,
            report,
            files: Vec::new(),
            servers: Vec::new(),
            names: BTreeMap::new(),
            gateways: BTreeMap::new(),
            globals: Globals::default(),
            people: People::default(),
            backends: Backends::new(options),
        }
    }

    pub(super) fn file(&mut self, file: &Path, text: &str) {
        let name: Arc<Path> = file.into();
        let Some(tree) = self.tree(&name, text) else {
            return;
        };
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = std::path::absolute(folder.unwrap_or(Path::new("."))).unwrap_or_default();
        let found = ForeignFile::in_tree(&tree, file);
        if found.is_none()
            && let Some(catalog) = foreign::catalog(&tree)
        {
            let message =
                format!("this is {catalog}; add its servers with `mcp-orchestrator import`");
            self.report
                .problem(&name, None, &KeyPath::default(), message);
            return;
        }
        let source = source(name, folder, tree, found.is_some(), self.options);
        let kind = match found {
            Some(found) => Content::Foreign(found),
            None => Content::Own(Box::new(self.own(&source))),
        };
        self.files.push((source, kind));
    }

    fn tree(&mut self, file: &Arc<Path>, text: &str) -> Option<Node> {
        let text = jsonc::strip_comments(file, text);
        let toml = file.extension().is_some_and(|end| end == "toml");
        let read = if toml {
            toml::parse(&text).map(|tree| (Some(tree), Vec::new()))
        } else {
            yaml::parse(&text)
        };
        match read {
            Ok((tree, flaws)) => {
                for flaw in flaws {
                    self.report
                        .problem(file, Some(flaw.position), &flaw.path, flaw.message);
                }
                if tree.is_none() {
                    self.report
                        .notice(file, None, &KeyPath::default(), "the file is empty");
                }
                tree.filter(|tree| !matches!(tree.value, Value::Null))
            }
            Err(flaw) => {
                self.report
                    .problem(file, Some(flaw.position), &flaw.path, flaw.message);
                None
            }
        }
    }

    fn own(&mut self, source: &ParsedFile) -> File {
        let (file, mismatches) = deserialize::read::<File>(&source.tree);
        for mismatch in mismatches {
            let position = if mismatch.at_key {
                source.key_position(&mismatch.path)
            } else {
                source.position(&mismatch.path)
            };
            self.report
                .problem(&source.file, position, &mismatch.path, mismatch.message);
        }
        file
    }

    /// Returns the files that were read, and the report.
    pub(super) fn into_files(self) -> (Vec<(ParsedFile, Content)>, Report) {
        (self.files, self.report)
    }

    /// Collects the settings of the whole orchestrator.
    pub(super) fn resolve_globals(&mut self) {
        for (source, kind) in &self.files {
            if let Content::Own(file) = kind {
                let mut scope = Scope {
                    source,
                    variables: &self.options.variables,
                    report: &mut self.report,
                    path: KeyPath::default(),
                };
                self.globals.apply(&mut scope, file);
                people::apply(&mut scope, &mut self.people, file);
                self.backends.apply(&mut scope, file);
            }
        }
        self.backends.override_with(&self.options.backends);
    }

    pub(super) fn resolve_servers(&mut self) {
        for (source, kind) in std::mem::take(&mut self.files) {
            match kind {
                Content::Own(file) => self.own_servers(&source, *file),
                Content::Foreign(found) => self.foreign(&source, &found),
            }
        }
    }

    fn own_servers(&mut self, source: &ParsedFile, file: File) {
        let servers = KeyPath::default().key("servers");
        // Names count even if their entries were dropped as invalid.
        for entry in source
            .tree
            .get("servers")
            .map(Node::entries)
            .unwrap_or_default()
        {
            self.names
                .entry(entry.key.clone())
                .or_insert_with(|| Arc::clone(&source.file));
        }
        for (name, entry) in file.servers.unwrap_or_default().0 {
            self.server(source, &name, servers.key(&name), &entry);
        }
        for (name, entry) in file.gateways.unwrap_or_default().0 {
            let path = KeyPath::default().key("gateways").key(&name);
            let position = source.key_position(&path);
            if let Some((other, _)) = self.gateways.insert(name, (source.clone(), entry)) {
                let message = format!("also set in {}; this value is used", other.file.display());
                self.report.notice(&source.file, position, &path, message);
            }
        }
    }

    fn foreign(&mut self, source: &ParsedFile, found: &ForeignFile) {
        for entry in found.servers(source, &mut self.report) {
            if entry.key != entry.label {
                let message = format!("renamed to {}", entry.label);
                let position = source.key_position(&entry.path);
                self.report
                    .notice(&source.file, position, &entry.path, message);
            }
            self.server(source, &entry.label, entry.path, &entry.entry);
        }
    }

    fn server(&mut self, source: &ParsedFile, name: &str, path: KeyPath, entry: &ServerEntry) {
        let position: Option<Position> = source.key_position(&path);
        let id = match ServerId::new(name) {
            Ok(id) => id,
            Err(error) => {
                self.report
                    .problem(&source.file, position, &path, error.to_string());
                return;
            }
        };
        let other = self.names.insert(name.to_owned(), Arc::clone(&source.file));
        if let Some(other) = other.filter(|other| *other != source.file) {
            let message = format!("also set in {}; this value is used", other.display());
            self.report.notice(&source.file, position, &path, message);
        }
        let mut scope = Scope {
            source,
            variables: &self.options.variables,
            report: &mut self.report,
            path,
        };
        let Some((spec, credentials)) = server::server(&mut scope, id, entry, &self.backends)
        else {
            return;
        };
        let resolved = (Arc::new(spec), credentials);
        match self
            .servers
            .iter_mut()
            .find(|(spec, _)| spec.id.as_str() == name)
        {
            Some(known) => *known = resolved,
            None => self.servers.push(resolved),
        }
    }

    pub(super) fn finish(mut self, files: &[PathBuf]) -> Result<Loaded, Problems> {
        self.inherit_env();
        let (servers, credentials): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.servers).into_iter().unzip();
        let gateways = self.all_gateways(&servers);
        let state_dir = self.state_dir(files);
        let specs = servers.iter().map(|server| &**server);
        let (inside, cluster) = self.backends.store_cluster();
        let store = self.globals.stores.settings(inside, cluster);
        let secrets = cluster.clone();
        let backends = std::mem::take(&mut self.backends).settings(specs);
        let settings = Settings {
            servers,
            gateways,
            people: self.people,
            credentials: credentials.into_iter().flatten().collect(),
            secrets,
            store,
            backends,
            state_dir: state_dir.unwrap_or_default(),
            listen: self
                .options
                .listen
                .or(self.globals.listen)
                .unwrap_or(Settings::LISTEN),
            metrics_listen: self.globals.metrics_listen,
            allowed_origins: self.globals.allowed_origins.unwrap_or_default(),
            allowed_hosts: self.globals.allowed_hosts.unwrap_or_default(),
            max_body_bytes: self
                .globals
                .max_body_bytes
                .unwrap_or(Settings::MAX_BODY_BYTES),
            auth: self.globals.access.settings(),
            allow_private: self.globals.allow_private.unwrap_or_default(),
            outbound: self.globals.outbound.unwrap_or_default(),
            audit: self.globals.audit.unwrap_or_default(),
            log: self.globals.log,
            files: files.to_vec(),
        };
        let notices = self.report.finish(files)?;
        Ok(Loaded { settings, notices })
    }

    /// Adds the variables that every process inherits.
    fn inherit_env(&mut self) {
        let inherited = self.globals.inherit_env.take().unwrap_or_default();
        for (server, _) in &mut self.servers {
            let program = matches!(server.launch, Launch::Program(_));
            if !program || inherited.is_empty() || self.backends.is_pod(server) {
                continue;
            }
            let names = &mut Arc::make_mut(server).inherit_env;
            names.extend(inherited.iter().cloned());
            names.sort_unstable();
            names.dedup();
        }
    }

    pub(super) fn state_dir(&mut self, files: &[PathBuf]) -> Option<PathBuf> {
        let named = self.options.state_dir.clone();
        if let Some(named) = named.or_else(|| self.globals.state_dir.clone()) {
            return Some(named);
        }
        let first = files.first().map(PathBuf::as_path);
        let found = state_dir::default(first, &self.options.variables);
        let told = found.map_err(|message| {
            let path = KeyPath::default().key("state_dir");
            let file = first.unwrap_or(Path::new("-"));
            self.report.problem(&file.into(), None, &path, message);
        });
        told.ok()
    }

    /// Returns the default gateway, then the others by name.
    fn all_gateways(&mut self, servers: &[Arc<ServerSpec>]) -> Vec<GatewaySettings> {
        let names: Vec<String> = self.names.keys().cloned().collect();
        let catalog = Catalog {
            servers,
            names: &names,
        };
        let default = GatewayId::default_gateway();
        let mut gateways = Vec::new();
        for (name, (source, entry)) in &self.gateways {
            let mut scope = Scope {
                source,
                variables: &self.options.variables,
                report: &mut self.report,
                path: KeyPath::default().key("gateways").key(name),
            };
            gateways.extend(gateways::gateway(&mut scope, name, entry, &catalog));
        }
        if !gateways.iter().any(|gateway| gateway.id == default) {
            gateways.insert(0, gateways::all(default.clone(), &catalog));
        }
        gateways.sort_by_key(|gateway| gateway.id != default);
        gateways
    }
}

fn source(
    file: Arc<Path>,
    folder: PathBuf,
    tree: Node,
    is_foreign: bool,
    options: &LoadOptions,
) -> ParsedFile {
    let tree = Arc::new(tree);
    let (folder, dialect) = match is_foreign {
        false => (folder, Dialect::Own),
        true => {
            let workspace = options.workspace.clone();
            let workspace = workspace.unwrap_or_else(|| foreign::workspace(&folder));
            let inputs = foreign::inputs(&tree);
            (workspace.clone(), Dialect::Foreign { workspace, inputs })
        }
    };
    ParsedFile {
        file,
        folder,
        dialect,
        tree,
    }
}
