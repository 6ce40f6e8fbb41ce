//! The `connect` tool, which replaces a server's tools for a caller without a credential for that server.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use crate::call::{Reply, own};
use crate::catalog::{ItemKinds, Kept, KeptItem, ListKey, ListState, Source};
use crate::credential::{Credential, Revision};
use crate::error::Result;
use crate::jsonrpc::{Message, response};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::pool::Spec;
use crate::protocol::Era;
use crate::router::{ItemKind, ToolFilter, ToolOverrides, View, ViewEntry};
use crate::server::{ServerSpec, WithoutCredential};
use crate::transport::Hello;

/// Name of the tool, before any prefix or suffix for the server.
const CONNECT: &str = "connect";

impl Inner {
    /// Returns what a list shows for a server if the caller has no credential for it.
    pub(crate) async fn without_credential(
        self: &Arc<Self>,
        context: &Context,
        (entry, spec): (&ViewEntry, &Arc<Spec>),
        prefixed: bool,
        kinds: ItemKinds<'_>,
    ) -> Option<Source> {
        match &spec.server.without_credential {
            WithoutCredential::Connect => {}
            WithoutCredential::Declared(tools) => {
                let tools = tools.iter().map(|tool| tool.to_json().to_string());
                return Some(Source::new(entry, kept(tools)));
            }
            WithoutCredential::Listed => {
                // The credential is empty and only selects the lists: no call is made without a real one.
                let empty = Arc::new(empty(&spec.server));
                if let Some(kept) = self.lists_with(context, (entry, spec), &empty, kinds).await {
                    return Some(Source::new(entry, kept));
                }
            }
        }
        let kept = kept([connect_tool(entry, prefixed)]);
        let whole = ViewEntry {
            tools: ToolFilter::All,
            overrides: ToolOverrides::default(),
            ..entry.clone()
        };
        Some(Source::new(&whole, kept))
    }

    /// Returns the entry that shows a tool of this name to callers without a credential.
    fn declared_by<'v>(&self, view: &'v View, name: &str) -> Option<&'v ViewEntry> {
        view.entries.iter().find(|entry| {
            let shown = |own: &str| {
                let shown = entry.shown_as(ItemKind::Tool, own, view.prefixed);
                shown.is_some_and(|shown| shown == name)
            };
            let Ok(spec) = self.spec(&entry.server) else {
                return false;
            };
            match &spec.server.without_credential {
                WithoutCredential::Connect => false,
                WithoutCredential::Declared(tools) => tools.iter().any(|tool| shown(&tool.name)),
                WithoutCredential::Listed => {
                    let key = ListKey::new(&entry.server, &empty(&spec.server));
                    let kept = self.catalog.peek(&key);
                    kept.is_some_and(|kept| {
                        let mut tools = kept.items(ItemKind::Tool).iter();
                        tools.any(|tool| shown(&tool.name))
                    })
                }
            }
        })
    }

    /// Answers a call to a `connect` tool, or to a tool shown without a credential. Returns `None` for any other name,
    /// and if the caller has a credential.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        name: &str,
    ) -> Option<Result<Reply>> {
        let view = self.view(context).ok()?;
        let by_connect = connected_by(&view, name);
        let entry = by_connect.or_else(|| self.declared_by(&view, name))?;
        let spec = self.spec(&entry.server).ok()?;
        let found = self
            .credential(context, &spec, &entry.credential, None)
            .await;
        let route = (&entry.server, &entry.credential);
        match found {
            Err(error) => Some(
                self.unconnected(context, route, (message, name), error)
                    .await,
            ),
            // A waiting call is repeated after the credential was set up, so report success.
            Ok(_) if context.waited && by_connect.is_some() => {
                Some(Ok(connected(context, message, entry)))
            }
            Ok(_) => None,
        }
    }
}

/// A credential with an empty value for each required slot. No installed credential has its revision.
fn empty(server: &ServerSpec) -> Credential {
    let slots = server.slots.iter().filter(|slot| slot.required);
    Credential {
        revision: Revision::new("empty"),
        values: slots.map(|slot| (slot.name.clone(), "".into())).collect(),
        ..Credential::none()
    }
}

/// Builds lists that hold only these tools.
fn kept(tools: impl IntoIterator<Item = String>) -> Arc<Kept> {
    let mut kept = Kept::new(Hello {
        era: Era::Legacy,
        version: String::new(),
        result: Bytes::from_static(b"{}"),
    });
    let items = tools
        .into_iter()
        .filter_map(|tool| Some(KeptItem::read(ItemKind::Tool, &tool).ok()?.item));
    kept.set(ItemKind::Tool, items.collect(), ListState::Whole);
    Arc::new(kept)
}

fn connect_tool(entry: &ViewEntry, prefixed: bool) -> String {
    let server = &entry.server;
    let tool = json!({
        "name": connect_name(entry, prefixed),
        "title": format!("Connect {}", entry.alias),
        "description": format!(
            "Shows how to connect your account to {server}. The tools of {server} are listed after that."
        ),
        "inputSchema": { "type": "object" },
        "annotations": { "readOnlyHint": true },
    });
    tool.to_string()
}

/// Builds the result for a call that waited until the credential was set up.
fn connected(context: &Context, message: &Message, entry: &ViewEntry) -> Reply {
    let text = format!(
        "{} is connected. List the tools again: its own tools are available now.",
        entry.alias
    );
    let mut result = json!({ "content": [{ "type": "text", "text": text }] });
    if context.era() == Era::Modern {
        result["resultType"] = "complete".into();
    }
    let id = message.id().unwrap_or("null");
    Reply::ready(own(response(id, &result.to_string())))
}

fn connect_name(entry: &ViewEntry, prefixed: bool) -> String {
    if prefixed {
        CONNECT.to_owned()
    } else {
        format!("{CONNECT}_{}", entry.alias)
    }
}

/// Returns the server of a gateway that this `connect` tool belongs to.
fn connected_by<'v>(view: &'v View, name: &str) -> Option<&'v ViewEntry> {
    view.entries.iter().find(|entry| {
        let own = connect_name(entry, view.prefixed);
        crate::router::shown(&entry.alias, &own, view.prefixed) == name
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::CredentialRule;
    use crate::id::{Alias, ServerId};

    #[test]
    fn connect_tool_is_found_by_its_displayed_name() {
        let entry = |name: &str| ViewEntry {
            alias: Alias::new(name).unwrap(),
            server: ServerId::new("jira").unwrap(),
            credential: CredentialRule::Resolve,
            tools: ToolFilter::All,
            overrides: ToolOverrides::default(),
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
