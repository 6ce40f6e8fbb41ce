//! Answers `initialize` and `server/discover` on behalf of the gateway.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::extensions::{keep_routed, merge};
use crate::call::{Call, Reply, own};
use crate::catalog::Source;
use crate::error::Result;
use crate::jsonrpc::{Members, Message, response, text};
use crate::limits::MAX_INSTRUCTIONS_LEN;
use crate::metrics::MethodIndex;
use crate::orchestrator::lists::MAX_LIST_TTL_MS;
use crate::orchestrator::params::{missing, params};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::protocol::{Era, meta, method, version};
use crate::router::ItemKind;
use crate::session::declared;

const NAME: &str = "mcp-orchestrator";

impl Inner {
    /// Opens a session. If a server has not been seen before, waits briefly for its `initialize` result, because a
    /// client reads instructions only here. Capabilities that are still unknown afterwards are declared as possible.
    pub(crate) async fn initialize(self: &Arc<Self>, call: Call) -> Result<Reply> {
        let (started, series) = (Instant::now(), self.unrouted_series(&call.gateway));
        let reply = self.open_session(call).await;
        let method = (MethodIndex::of(method::INITIALIZE), Era::Legacy);
        self.metrics
            .call(&series, method, started.elapsed(), &reply);
        reply
    }

    async fn open_session(self: &Arc<Self>, call: Call) -> Result<Reply> {
        crate::orchestrator::params::expect_request(&call.message)?;
        let head = params(&call.message)?;
        let asked = head
            .protocol_version
            .and_then(|raw| text(raw.get()))
            .ok_or_else(|| missing("protocolVersion"))?;
        let known = version::LEGACY.into_iter().find(|known| *known == asked);
        let version = known.unwrap_or(version::LATEST_LEGACY);
        let facts = declared(&head)?;
        let session = self.new_session((&call.principal, &call.gateway), version, facts);
        let context = Context::of(&session);
        let said = self.said(&context).await?;
        if said.is_possible {
            session.possible.store(true, Ordering::Relaxed);
        }
        let result = json!({
            "protocolVersion": version,
            "capabilities": said.capabilities,
            "serverInfo": server_info(),
        });
        let result = with_instructions(result, said.instructions);
        session.touch();
        self.add_session(&session)?;
        let mut reply = Reply::ready(own(response(
            call.message.id().unwrap_or("null"),
            &result.to_string(),
        )));
        reply.session = Some(session.id.clone());
        Ok(reply)
    }

    /// Answers `server/discover`.
    pub(crate) async fn discover(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
    ) -> Result<Reply> {
        let said = self.said(context).await?;
        let result = json!({
            "resultType": "complete",
            "supportedVersions": version::MODERN,
            "capabilities": said.capabilities,
            "ttlMs": said.ttl_ms,
            "cacheScope": "private",
            "_meta": { meta::SERVER_INFO: server_info() },
        });
        let result = with_instructions(result, said.instructions);
        Ok(Reply::ready(own(response(
            message.id().unwrap_or("null"),
            &result.to_string(),
        ))))
    }

    async fn said(self: &Arc<Self>, context: &Context) -> Result<Said> {
        let view = self.view(context)?;
        self.meet(context, &view).await;
        let known = self.known(context, &view).await;
        let mut capabilities = Map::new();
        let is_possible = known.is_empty() || known.iter().any(Option::is_none);
        if is_possible {
            merge(&mut capabilities, possible(context.era()));
        }
        let known: Vec<&Source> = known.iter().flatten().collect();
        for source in &known {
            let hello = source.kept.hello();
            let theirs = hello
                .get("capabilities")
                .and_then(|text| serde_json::from_str(text).ok());
            merge(
                &mut capabilities,
                translated(theirs.unwrap_or_default(), source.kept.era, context.era()),
            );
        }
        // A server may list items of a kind that it does not declare as a capability.
        for (name, kind) in [
            ("tools", ItemKind::Tool),
            ("prompts", ItemKind::Prompt),
            ("resources", ItemKind::Resource),
        ] {
            if known
                .iter()
                .any(|source| !source.kept.items(kind).is_empty())
            {
                capabilities.entry(name).or_insert_with(|| json!({}));
            }
        }
        for (name, flag) in [
            ("tools", "listChanged"),
            ("prompts", "listChanged"),
            ("resources", "listChanged"),
        ] {
            if let Some(Value::Object(kind)) = capabilities.get_mut(name) {
                kind.insert(flag.to_owned(), Value::Bool(true));
            }
        }
        for removed in keep_routed(&mut capabilities, &known) {
            if self.logged.is_new(&(&context.gateway, &removed)) {
                tracing::warn!(gateway = %context.gateway, "{removed}");
            }
        }
        Ok(Said {
            capabilities: Value::Object(capabilities),
            instructions: instructions(&known),
            ttl_ms: if is_possible { 0 } else { ttl_ms(&known) },
            is_possible,
        })
    }
}

struct Said {
    capabilities: Value,
    instructions: Option<String>,
    /// How long a client may cache it, in milliseconds.
    ttl_ms: u64,
    /// `true` if more is declared than is known about the servers.
    is_possible: bool,
}

fn server_info() -> Value {
    json!({ "name": NAME, "version": env!("CARGO_PKG_VERSION") })
}

/// Returns the shortest time for which a server allows its description to be cached, but no more than for lists.
fn ttl_ms(known: &[&Source]) -> u64 {
    let modern = known.iter().filter(|source| source.kept.era == Era::Modern);
    let times = modern.filter_map(|source| source.kept.hello().get("ttlMs")?.parse().ok());
    times.fold(MAX_LIST_TTL_MS, u64::min)
}

fn with_instructions(mut result: Value, instructions: Option<String>) -> Value {
    if let (Value::Object(members), Some(instructions)) = (&mut result, instructions) {
        members.insert("instructions".into(), Value::String(instructions));
    }
    result
}

/// Possible capabilities of a server before its `initialize` result is known.
fn possible(era: Era) -> Map<String, Value> {
    let all = json!({ "tools": {}, "prompts": {}, "resources": { "subscribe": true }, "completions": {}, "logging": {} });
    let Value::Object(mut all) = all else {
        return Map::new();
    };
    if era == Era::Modern {
        all.remove("logging");
    }
    all
}

/// Translates a server's capabilities into those of the client's era.
fn translated(mut theirs: Map<String, Value>, from: Era, to: Era) -> Map<String, Value> {
    if from != to {
        // Tasks cannot be translated: each era has a different protocol for them.
        theirs.remove("tasks");
        if let Some(Value::Object(extensions)) = theirs.get_mut("extensions") {
            extensions.remove(meta::TASKS_EXTENSION);
        }
        if to == Era::Legacy {
            theirs.insert("logging".into(), json!({}));
        } else {
            theirs.remove("logging");
        }
    }
    theirs
}

fn instructions(known: &[&Source]) -> Option<String> {
    let each: Vec<_> = known
        .iter()
        .filter_map(|source| {
            let hello = source.kept.hello();
            let mut text = hello.get("instructions").and_then(text)?.into_owned();
            if text.len() > MAX_INSTRUCTIONS_LEN {
                text.truncate(text.floor_char_boundary(MAX_INSTRUCTIONS_LEN));
                text.push('…');
            }
            Some((&source.alias, text))
        })
        .collect();
    match &each[..] {
        [] => None,
        [(_, only)] if known.len() == 1 => Some(only.clone()),
        several => {
            let parts = several
                .iter()
                .map(|(alias, text)| format!("# {alias}\n\n{text}"));
            Some(parts.collect::<Vec<_>>().join("\n\n"))
        }
    }
}

/// Returns `true` if the server declares this capability in its `initialize` result.
pub(crate) fn has_capability(hello: &Members<'_>, name: &str) -> bool {
    hello
        .get("capabilities")
        .and_then(Members::read)
        .is_some_and(|all| all.get(name).is_some())
}
