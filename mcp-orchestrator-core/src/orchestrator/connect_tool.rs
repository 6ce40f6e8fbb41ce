//! The tool `connect`, which stands in the place of a server's tools for a caller who has no credential for it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::Inner;
use super::context::Context;
use super::unconnected::word;
use crate::call::{Reply, own};
use crate::catalog::{Kept, KeptItem, Source};
use crate::error::{Error, Result};
use crate::jsonrpc::{Message, response};
use crate::protocol::Era;
use crate::router::{ItemKind, ToolFilter, View, ViewEntry};
use crate::transport::Hello;

/// Its name.
const CONNECT: &str = "connect";

impl Inner {
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
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        name: &str,
    ) -> Option<Result<Reply>> {
        let view = self.view(context).ok()?;
        let entry = connected_by(&view, name)?;
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
            // It is called again when what it asked for is done.
            Ok(_) if context.waited => Some(Ok(connected(context, message, entry))),
            Ok(_) => None,
        }
    }
}

/// What is said to who waited.
fn connected(context: &Context, message: &Message, entry: &ViewEntry) -> Reply {
    let text = format!(
        "{} is connected: list the tools again, its own are there now.",
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

/// The server of a gateway that a tool `connect` belongs to.
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
