//! What a caller gets whose credential for a server is missing, has expired or is refused: a tool's result that says what
//! to do, the same as data of an error where there is no such result, and a tool `connect` in the place of the server's.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Inner;
use super::context::Context;
use crate::call::{Reply, own};
use crate::catalog::{Kept, KeptItem, Source};
use crate::credential::{CredentialRule, Owner};
use crate::error::{Error, ErrorKind};
use crate::jsonrpc::{Message, raw, response};
use crate::protocol::Era;
use crate::router::{ItemKind, ToolFilter, View, ViewEntry};
use crate::server::ServerSpec;
use crate::transport::Hello;

/// The tool that stands in the place of a server's tools.
const CONNECT: &str = "connect";
/// Under which name the facts stand in `_meta`.
const META: &str = "mcp-orchestrator.dev/auth";

/// What a kind of error means for the caller; `None`: it has nothing to do with credentials.
fn word(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::CredentialMissing => Some("auth_required"),
        ErrorKind::CredentialExpired
        | ErrorKind::CredentialRejected
        | ErrorKind::CredentialInsufficient => Some("auth_expired"),
        _ => None,
    }
}

impl Inner {
    /// The error, or the tool result that stands for it.
    pub(super) fn or_auth_result(
        &self,
        context: &Context,
        (server, rule): (&crate::id::ServerId, &CredentialRule),
        (message, tool): (&Message, &str),
        error: Error,
    ) -> Result<Reply, Error> {
        let (Some(word), Some(spec)) = (word(error.kind()), self.server_spec(server)) else {
            return Err(error);
        };
        if let Some(trail) = &context.trail {
            trail.failed(error.kind());
        }
        let facts = self.facts(context, &spec, rule, word);
        let text = text(&facts, &error);
        let mut result = json!({
            "content": [{ "type": "text", "text": text }],
            "isError": true,
            "_meta": { META: &facts },
        });
        // A client checks what is structured against the tool's own schema, also where it is an error.
        if !self.catalog.has_output_schema(server, tool) {
            result["structuredContent"] = facts;
        }
        if context.era() == Era::Modern {
            result["resultType"] = "complete".into();
        }
        let id = message.id().unwrap_or("null");
        Ok(Reply::ready(own(response(id, &result.to_string()))))
    }

    /// The error with the facts as its data, for what is no tool.
    pub(super) fn with_auth_data(
        &self,
        context: &Context,
        server: &crate::id::ServerId,
        rule: &CredentialRule,
        error: Error,
    ) -> Error {
        let (Some(word), Some(spec)) = (word(error.kind()), self.server_spec(server)) else {
            return error;
        };
        let facts = self.facts(context, &spec, rule, word);
        error.with_data(raw(&facts))
    }

    /// What a program reads.
    fn facts(
        &self,
        context: &Context,
        spec: &ServerSpec,
        rule: &CredentialRule,
        word: &str,
    ) -> Value {
        let owner = owner(context, spec, rule);
        let mut facts = json!({ "error": word, "server": spec.id.as_str() });
        if let Some(owner) = &owner {
            facts["owner"] = owner.to_string().into();
        }
        if let Some(program) = &self.install_with {
            let verb = if word == "auth_expired" {
                "rotate"
            } else {
                "install"
            };
            let flag = match &owner {
                Some(Owner::User(_)) | None => String::new(),
                Some(owner) => format!(" --owner {owner}"),
            };
            facts["command"] = format!("{program} {verb} {}{flag}", spec.id).into();
        }
        facts
    }

    /// The server, where it has slots: without any nobody could install what it refuses.
    fn server_spec(&self, server: &crate::id::ServerId) -> Option<Arc<ServerSpec>> {
        let server = self.pool.server(server)?;
        let spec = Arc::clone(&server.spec.load().server);
        (!spec.slots.is_empty()).then_some(spec)
    }

    /// What a list shows of a server whose credential the caller has not.
    pub(super) fn connect_source(
        &self,
        entry: &ViewEntry,
        prefixed: bool,
        error: &Error,
    ) -> Option<Source> {
        word(error.kind())?;
        let name = connect_name(entry, prefixed);
        let server = &entry.server;
        let tool = json!({
            "name": name,
            "title": format!("Connect {}", entry.alias),
            "description": format!(
                "Tells how to set up your credential for {server}. Its own tools are shown once that is done."
            ),
            "inputSchema": { "type": "object" },
            "annotations": { "readOnlyHint": true },
        });
        let mut kept = Kept::new(Hello {
            era: Era::Legacy,
            version: String::new(),
            result: Bytes::from_static(b"{}"),
        });
        let item = KeptItem::read(ItemKind::Tool, &tool.to_string())?;
        kept.items_mut(ItemKind::Tool).push(item);
        Some(Source {
            alias: entry.alias.clone(),
            tools: ToolFilter::All,
            kept: Arc::new(kept),
        })
    }

    /// The answer of a tool `connect`; `None` where the name is none of them, or the caller is connected.
    pub(super) async fn connect(
        &self,
        context: &Context,
        message: &Message,
        name: &str,
    ) -> Option<Reply> {
        let view = self.view(context).ok()?;
        let entry = connected_by(&view, name)?;
        let spec = self.spec(&entry.server).ok()?;
        let found = self
            .credential(context, &spec, &entry.credential, None)
            .await;
        let route = (&entry.server, &entry.credential);
        let error = found.err()?;
        self.or_auth_result(context, route, (message, name), error)
            .ok()
    }
}

fn connect_name(entry: &ViewEntry, prefixed: bool) -> String {
    if prefixed {
        CONNECT.to_owned()
    } else {
        format!("{CONNECT}_{}", entry.alias)
    }
}

/// The server of a gateway that a tool `connect` belongs to.
fn connected_by<'v>(view: &'v View, name: &str) -> Option<&'v ViewEntry> {
    view.entries.iter().find(|entry| {
        let own = connect_name(entry, view.prefixed);
        crate::router::shown(&entry.alias, &own, view.prefixed) == name
    })
}

/// Whose credential would do: the first choice of the rule for which the server may be installed.
fn owner(context: &Context, spec: &ServerSpec, rule: &CredentialRule) -> Option<Owner> {
    let mut owners = rule.owners(&context.principal);
    owners.find(|owner| spec.install.contains(&owner.kind()))
}

fn text(facts: &Value, error: &Error) -> String {
    let word = |name: &str| facts[name].as_str().unwrap_or_default();
    let why = match word("error") {
        "auth_expired" => format!("Authentication has expired: {error}."),
        _ => format!("Authentication is required: {error}."),
    };
    match (word("owner"), word("command")) {
        (_, "") => why,
        ("", command) => format!("{why} To set it up, run `{command}`, then call again."),
        (owner, command) => {
            format!("{why} To set it up for {owner}, run `{command}`, then call again.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Alias, ServerId};

    #[test]
    fn connect_is_found_by_the_name_that_is_shown() {
        let entry = |name: &str| ViewEntry {
            alias: Alias::new(name).unwrap(),
            server: ServerId::new("jira").unwrap(),
            credential: CredentialRule::Resolve,
            tools: ToolFilter::All,
        };
        let mut view = View {
            entries: vec![entry("jira"), entry("jira-ops")],
            prefixed: true,
        };
        let found =
            |view: &View, name| connected_by(view, name).map(|entry| entry.alias.to_string());
        assert_eq!(
            found(&view, "jira-ops__connect").as_deref(),
            Some("jira-ops")
        );
        assert_eq!(found(&view, "connect_jira"), None);
        view.prefixed = false;
        assert_eq!(found(&view, "connect_jira").as_deref(), Some("jira"));
        assert_eq!(found(&view, "connect"), None);
    }
}
