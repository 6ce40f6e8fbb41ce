//! A server as a foreign file describes it, and the only place that converts it to an entry in our own format.

use std::collections::BTreeMap;

use super::keys::{Keys, Remark};
use super::syntax::Syntax;
use super::texts;
use crate::config::schema::oauth::OAuthChoice;
use crate::config::schema::server::{CredentialEntry, ServerEntry, TransportEntry};
use crate::config::schema::value::{TextOr, Typed};
use crate::config::source::diagnostics::KeyPath;
use crate::config::source::node::Node;

/// A server as described in a foreign file.
#[derive(Debug, Default)]
pub(in crate::config) struct Draft {
    /// Its name in the file.
    pub(in crate::config) key: String,
    /// Its key path in the file.
    pub(in crate::config) path: KeyPath,
    /// Why it is left out, if it is.
    pub(in crate::config) off: Option<String>,
    pub(in crate::config) command: Option<TextOr<Vec<Typed>>>,
    pub(in crate::config) args: Option<Vec<Typed>>,
    pub(in crate::config) env: BTreeMap<String, Typed>,
    pub(in crate::config) env_file: Option<Typed>,
    pub(in crate::config) cwd: Option<Typed>,
    /// Its URLs with their keys, the preferred one first.
    pub(in crate::config) urls: Vec<(&'static str, Typed)>,
    pub(in crate::config) headers: BTreeMap<String, Typed>,
    pub(in crate::config) transport: Option<TransportEntry>,
    pub(in crate::config) credentials: Vec<CredentialEntry>,
    /// Values that are already in our own format.
    pub(in crate::config) more: ServerEntry,
    /// Notices about the server.
    pub(in crate::config) notices: Vec<Remark>,
    /// Problems of the server.
    pub(in crate::config) problems: Vec<Remark>,
}

/// Keys that do not affect how a server runs.
const PRESENTATION: &[&str] = &[
    "$schema",
    "//",
    "_comment",
    "author",
    "comment",
    "createdAt",
    "description",
    "display_name",
    "displayName",
    "docs",
    "documentation",
    "gallery",
    "homepage",
    "icon",
    "iconPath",
    "icons",
    "id",
    "installSource",
    "license",
    "logoUrl",
    "metadata",
    "name",
    "notes",
    "provider",
    "providerUrl",
    "reference",
    "repository",
    "tags",
    "title",
    "version",
];

/// Keys that affect authentication.
const AUTHENTICATION: &[&str] = &[
    "apiKey",
    "api_key",
    "auth",
    "authProvider",
    "authProviderType",
    "authType",
    "authentication",
    "authorization",
    "cert",
    "clientCert",
    "client_id",
    "clientId",
    "credentials",
    "getAuthHeaders",
    "headersHelper",
    "headers_helper",
    "key",
    "oauth",
    "obo",
    "permissions",
    "requestInit",
    "requestOptions",
    "requiresOAuth",
    "targetAudience",
    "targetServiceAccount",
    "tls",
    "token",
    "verifySsl",
];

/// Keys that select the tools to show.
const TOOLS: &[&str] = &[
    "allowedTools",
    "allowed_tools",
    "available_tools",
    "disabledTools",
    "disabled_tools",
    "enabledTools",
    "enabled_tools",
    "excludeTools",
    "exclude_tools",
    "includeTools",
    "include_tools",
    "toolFilter",
    "tools",
];

impl Draft {
    /// Creates a draft of a server with this name.
    pub(in crate::config) fn new(key: &str, path: &KeyPath) -> Self {
        Self {
            key: key.to_owned(),
            path: path.clone(),
            ..Self::default()
        }
    }

    /// Creates a draft of a server with this name, which `read` reads from a mapping.
    pub(in crate::config) fn of(
        key: &str,
        node: &Node,
        path: KeyPath,
        read: impl Fn(&mut Keys<'_>, &mut Self),
    ) -> Self {
        let mut draft = Self::new(key, &path);
        match Keys::new(node, path.clone()) {
            Some(mut keys) => {
                read(&mut keys, &mut draft);
                draft.close(keys);
            }
            None => draft.problems.push(Remark {
                path,
                text: "expected a mapping".to_owned(),
            }),
        }
        draft
    }

    /// Leaves the server out; the first reason is kept.
    pub(in crate::config) fn leave_out(&mut self, why: impl Into<String>) {
        self.off.get_or_insert_with(|| why.into());
    }

    /// Adds a notice about a key of the server, or about the server itself if `key` is empty.
    pub(in crate::config) fn notice(&mut self, key: &str, text: impl Into<String>) {
        let path = self.at(key);
        self.notices.push(Remark {
            path,
            text: text.into(),
        });
    }

    fn at(&self, key: &str) -> KeyPath {
        if key.is_empty() {
            self.path.clone()
        } else {
            self.path.key(key)
        }
    }

    /// Finishes reading a mapping: adds notices about the keys that were not used.
    pub(in crate::config) fn close(&mut self, mut keys: Keys<'_>) {
        self.problems.append(&mut keys.wrong);
        keys.skip(PRESENTATION);
        let rest = keys.rest();
        let of = |kind: &[&str]| -> Vec<&str> {
            let of = rest.iter().copied().filter(|key| kind.contains(key));
            of.collect()
        };
        let (authentication, tools) = (of(AUTHENTICATION), of(TOOLS));
        let kinds = [AUTHENTICATION, TOOLS];
        let plain = rest
            .iter()
            .copied()
            .filter(|key| !kinds.iter().any(|kind| kind.contains(key)));
        let plain: Vec<&str> = plain.collect();
        for (keys_there, text) in [
            (
                authentication,
                "ignored, although it affects authentication: give what is needed by `headers`, \
                              `env`, or by `credentials` and `oauth` in a file of our own",
            ),
            (
                tools,
                "ignored: all tools are exposed; select them with `tools` of a gateway in a mcp-orchestrator.yaml",
            ),
            (plain, "ignored"),
        ] {
            if !keys_there.is_empty() {
                let shown: Vec<String> =
                    keys_there.iter().take(20).map(|key| clipped(key)).collect();
                self.notices.push(Remark {
                    path: keys.path.clone(),
                    text: format!("{}: {text}", shown.join(", ")),
                });
            }
        }
    }

    /// Converts the draft to an entry in our own format. `syntax` is how the file writes variables.
    pub(in crate::config) fn entry(&mut self, syntax: Syntax) -> ServerEntry {
        let remote = !self.urls.is_empty()
            && (self.command.is_none()
                || matches!(
                    self.transport,
                    Some(TransportEntry::Http | TransportEntry::Sse)
                ));
        // Expand `~`, because no shell does.
        if let Some(TextOr::Text(program)) = &mut self.command {
            texts::home(program);
        }
        for text in [&mut self.cwd, &mut self.env_file].into_iter().flatten() {
            texts::home(text);
        }
        let mut entry = if remote {
            self.remote()
        } else {
            self.program()
        };
        if !self.credentials.is_empty() {
            entry.credentials = Some(std::mem::take(&mut self.credentials));
        }
        texts::for_each_text(&mut entry, &mut |_, typed| {
            let home = typed.0.strip_prefix("${userHome}").map(str::to_owned);
            typed.0 = match home {
                Some(rest) => format!("${{userHome}}{}", syntax.editor(&rest)),
                None => syntax.editor(&typed.0),
            };
        });
        entry
    }

    fn remote(&mut self) -> ServerEntry {
        let mut urls = std::mem::take(&mut self.urls).into_iter();
        let url = urls.next();
        for (key, _) in urls {
            self.notice(
                key,
                "ignored: the server has another URL that takes precedence",
            );
        }
        for (key, there) in [
            ("command", self.command.is_some()),
            (
                "args",
                self.args.as_ref().is_some_and(|args| !args.is_empty()),
            ),
            ("env", !self.env.is_empty()),
            ("envFile", self.env_file.is_some()),
            ("cwd", self.cwd.is_some()),
        ] {
            if there {
                self.notice(key, "ignored: this server is reached at its URL");
            }
        }
        let wants_oauth = !matches!(&self.more.oauth, None | Some(OAuthChoice::Plain(false)));
        if wants_oauth && self.authorizes() {
            self.more.oauth = None;
            self.notice(
                "oauth",
                "ignored: the server gets its own `Authorization` header",
            );
        }
        ServerEntry {
            url: url.map(|(_, url)| url),
            headers: some(std::mem::take(&mut self.headers)),
            transport: self.transport,
            ..std::mem::take(&mut self.more)
        }
    }

    /// Returns `true` if a header or a credential authorizes the calls.
    fn authorizes(&self) -> bool {
        let is_it = |name: &str| name.eq_ignore_ascii_case("authorization");
        let by_slot = |slot: &CredentialEntry| match &slot.header {
            Some(TextOr::Text(name)) => is_it(&name.0),
            Some(TextOr::Other(header)) => is_it(&header.name),
            None => false,
        };
        self.headers.keys().any(|name| is_it(name)) || self.credentials.iter().any(by_slot)
    }

    fn program(&mut self) -> ServerEntry {
        for (key, _) in std::mem::take(&mut self.urls) {
            self.notice(key, "ignored: without a `type`, `command` takes precedence");
        }
        if !self.headers.is_empty() {
            self.notice("headers", "ignored: headers need a server with a URL");
        }
        let mut more = std::mem::take(&mut self.more);
        if more.oauth.take().is_some() {
            self.notice("oauth", "ignored: OAuth needs a server with a URL");
        }
        let (command, args) = match (self.command.take(), self.args.take()) {
            (Some(TextOr::Other(mut list)), Some(args)) => {
                list.extend(args);
                (Some(TextOr::Other(list)), None)
            }
            pair => pair,
        };
        ServerEntry {
            command,
            args,
            env: some(std::mem::take(&mut self.env)),
            env_file: self.env_file.take(),
            cwd: self.cwd.take(),
            transport: self.transport.filter(|it| *it != TransportEntry::Stdio),
            ..more
        }
    }
}

fn some(map: BTreeMap<String, Typed>) -> Option<BTreeMap<String, Typed>> {
    (!map.is_empty()).then_some(map)
}

/// Shortens a foreign name for display.
fn clipped(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
    name
}
