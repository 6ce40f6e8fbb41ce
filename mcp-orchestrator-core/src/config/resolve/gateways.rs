//! Resolves gateways. This happens after all files are read, because a gateway may name servers of any file.

use std::sync::Arc;

use crate::config::resolve::people;
use crate::config::resolve::scope::Scope;
use crate::config::resolve::tool_overrides;
use crate::config::schema::gateway::{GatewayEntry, GatewayServerEntry, ListedEntry, ToolsEntry};
use crate::config::schema::value::TextOr;
use crate::config::settings::gateway::GatewaySettings;
use crate::config::source::suggest;
use crate::credential::{CredentialRule, Owner};
use crate::id::{Alias, GatewayId, ServerId};
use crate::router::{Members, ToolFilter, ViewEntry};
use crate::server::ServerSpec;

/// The servers that a gateway may name.
pub(crate) struct Catalog<'a> {
    /// The valid servers, in order.
    pub(crate) servers: &'a [Arc<ServerSpec>],
    /// The names of all servers, including those with problems.
    pub(crate) names: &'a [String],
}

impl Catalog<'_> {
    fn find(&self, name: &str) -> Option<&ServerSpec> {
        self.servers
            .iter()
            .find(|server| server.id.as_str() == name)
            .map(|server| &**server)
    }
}

/// Returns a gateway that shows every server with the caller's credential.
pub(crate) fn all(id: GatewayId, catalog: &Catalog<'_>) -> GatewaySettings {
    let servers = catalog.servers.iter().map(|server| ViewEntry {
        credential: default_rule(server),
        ..ViewEntry::of(server)
    });
    GatewaySettings {
        id,
        members: Members::Everybody,
        is_public: false,
        tool_names: crate::router::ToolNames::default(),
        servers: servers.collect(),
    }
}

/// Resolves the entry of a gateway.
pub(crate) fn gateway(
    scope: &mut Scope<'_>,
    name: &str,
    entry: &GatewayEntry,
    catalog: &Catalog<'_>,
) -> Option<GatewaySettings> {
    let id = match GatewayId::new(name) {
        Ok(id) if name == GatewayId::RESERVED => {
            let path = scope.path.clone();
            let text =
                format!("{id} is reserved: /mcp/{id} is the server card of the default gateway");
            scope.problem_at_key(&path, text);
            return None;
        }
        Ok(id) => id,
        Err(error) => {
            let path = scope.path.clone();
            scope.problem_at_key(&path, error.to_string());
            return None;
        }
    };
    let mut gateway = all(id, catalog);
    if let Some(entry) = &entry.members {
        let path = scope.path.key("members");
        gateway.members = people::members(&mut scope.below(path), entry);
    }
    gateway.is_public = entry.listed == Some(ListedEntry::Everyone);
    gateway.tool_names = entry.tool_names.map(Into::into).unwrap_or_default();
    if let Some(entries) = &entry.servers {
        gateway.servers = servers(scope, entries, catalog);
        check_pins(scope, &gateway);
    }
    Some(gateway)
}

/// Checks pinned credentials. They are checked here and again at every call.
fn check_pins(scope: &mut Scope<'_>, gateway: &GatewaySettings) {
    for entry in &gateway.servers {
        let CredentialRule::Pinned(owner) = &entry.credential else {
            continue;
        };
        if !gateway.members.may_pin(owner) {
            let text = match owner {
                Owner::Team(team) => format!(
                    "{}: the credential of {owner} may be used only in a gateway of that team: name {team} in \
                     `members.teams`",
                    entry.alias
                ),
                _ => format!(
                    "{}: the credential of {owner} is pinned, and nobody of that name is a member",
                    entry.alias
                ),
            };
            scope.problem("servers", text);
        }
    }
}

fn servers(
    scope: &mut Scope<'_>,
    entries: &[TextOr<GatewayServerEntry>],
    catalog: &Catalog<'_>,
) -> Vec<ViewEntry> {
    let mut views: Vec<ViewEntry> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let path = scope.path.key("servers").index(index);
        let scope = &mut scope.below(path);
        let view = match entry {
            TextOr::Text(name) => short(scope, &name.0, catalog),
            TextOr::Other(entry) => long(scope, entry, catalog),
        };
        let Some(view) = view else { continue };
        if views.iter().any(|other| other.alias == view.alias) {
            let alias = &view.alias;
            let message =
                format!("duplicate name {alias} in this gateway; rename one of them with `as`");
            scope.problem("", message);
            continue;
        }
        views.push(view);
    }
    views
}

fn short(scope: &mut Scope<'_>, name: &str, catalog: &Catalog<'_>) -> Option<ViewEntry> {
    let server = known(scope, "", name, catalog)?;
    Some(ViewEntry {
        credential: default_rule(server),
        ..ViewEntry::of(server)
    })
}

fn long(
    scope: &mut Scope<'_>,
    entry: &GatewayServerEntry,
    catalog: &Catalog<'_>,
) -> Option<ViewEntry> {
    let server = known(scope, "server", &entry.server, catalog);
    let alias = match &entry.alias {
        Some(alias) => {
            let path = scope.path.key("as");
            scope.check(&path, Alias::new(alias).map_err(|error| error.to_string()))
        }
        None => server.map(|server| Alias::from(&server.id)),
    };
    let tools = entry.tools.as_ref().map_or(ToolFilter::All, filter);
    let (server, alias) = (server?, alias?);
    let overrides = entry.tools.as_ref().map(|entry| {
        let path = scope.path.key("tools").key("change");
        tool_overrides::overrides(&mut scope.below(path), entry, (server, &tools))
    });
    Some(ViewEntry {
        alias,
        server: server.id.clone(),
        credential: rule(scope, entry, server)?,
        tools,
        overrides: overrides.unwrap_or_default(),
    })
}

/// Returns the server with this name. A server with problems is skipped silently: its problems are already reported.
fn known<'c>(
    scope: &mut Scope<'_>,
    key: &str,
    name: &str,
    catalog: &'c Catalog<'_>,
) -> Option<&'c ServerSpec> {
    if let Some(server) = catalog.find(name) {
        return Some(server);
    }
    if !catalog.names.iter().any(|known| known == name) {
        let hint = suggest::hint(name, catalog.names.iter().map(String::as_str));
        match ServerId::new(name) {
            Ok(name) => scope.problem(key, format!("unknown server {name}{hint}")),
            Err(error) => scope.problem(key, error.to_string()),
        }
    }
    None
}

fn filter(tools: &ToolsEntry) -> ToolFilter {
    if tools.show.is_empty() && tools.hide.is_empty() && tools.only.is_empty() {
        return ToolFilter::All;
    }
    ToolFilter::Some {
        show: tools.show.clone(),
        hide: tools.hide.clone(),
        only: tools.only.iter().copied().map(Into::into).collect(),
    }
}

fn default_rule(server: &ServerSpec) -> CredentialRule {
    if server.slots.is_empty() {
        CredentialRule::None
    } else {
        CredentialRule::Resolve
    }
}

fn rule(
    scope: &mut Scope<'_>,
    entry: &GatewayServerEntry,
    server: &ServerSpec,
) -> Option<CredentialRule> {
    let pinned = match &entry.credential {
        None => return Some(default_rule(server)),
        Some(TextOr::Other(pinned)) => pinned,
        Some(TextOr::Text(text)) => {
            return match text.0.as_str() {
                "resolve" => Some(default_rule(server)),
                "none" if server.slots.iter().any(|slot| slot.required) => {
                    scope.problem(
                        "credential",
                        "this server needs a credential, so its rule cannot be `none`",
                    );
                    None
                }
                "none" => Some(CredentialRule::None),
                _ => {
                    scope.problem(
                        "credential",
                        "must be resolve, none, or `pinned:` with an owner",
                    );
                    None
                }
            };
        }
    };
    if server.slots.is_empty() {
        scope.problem("credential", "this server has no `credentials` to pin");
        return None;
    }
    let path = scope.path.key("credential").key("pinned");
    let owner = pinned.pinned.parse::<Owner>();
    scope
        .check(&path, owner.map_err(|error| error.to_string()))
        .map(CredentialRule::Pinned)
}
