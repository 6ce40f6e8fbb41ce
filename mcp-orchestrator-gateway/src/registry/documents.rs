//! The documents: entries of the registry API, server cards, and the catalog of cards.

use mcp_orchestrator_core::auth::PublicUrl;
use mcp_orchestrator_core::protocol::version;
use mcp_orchestrator_core::time::utc;
use serde_json::{Value, json};

use super::entries::{Entry, VERSION};
use super::name;
use super::query::Page;

const CARD_SCHEMA: &str =
    "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json";
const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";

/// Returns a page of entries.
pub(super) fn page(page: &Page) -> Value {
    let servers: Vec<Value> = page.entries.iter().map(listed).collect();
    let mut metadata = json!({ "count": servers.len() });
    if let Some(next) = &page.next {
        metadata["nextCursor"] = json!(next);
    }
    json!({ "servers": servers, "metadata": metadata })
}

/// Returns an entry of the registry API.
pub(super) fn listed(entry: &Entry) -> Value {
    let since = utc(entry.since);
    json!({
        // Without `$schema`: VS Code skips servers with any other version of the schema than its own.
        "server": {
            "name": entry.name,
            "title": entry.title,
            "description": entry.description,
            "version": VERSION,
            "remotes": [remote(entry)],
        },
        "_meta": { OFFICIAL: {
            "status": "active",
            "statusChangedAt": since,
            "publishedAt": since,
            "updatedAt": since,
            "isLatest": true,
        } },
    })
}

/// Returns the server card.
pub(super) fn card(entry: &Entry) -> Value {
    let mut remote = remote(entry);
    let versions: Vec<&str> = version::LEGACY.into_iter().chain(version::MODERN).collect();
    remote["supportedProtocolVersions"] = json!(versions);
    json!({
        "$schema": CARD_SCHEMA,
        "name": entry.name,
        "title": entry.title,
        "description": entry.description,
        "version": VERSION,
        "remotes": [remote],
    })
}

/// Returns the catalog of server cards.
pub(super) fn catalog(entries: &[Entry], url: &PublicUrl, is_ai_catalog: bool) -> Value {
    let host = name::host(url);
    let entry = |entry: &Entry| {
        let (_, local) = entry.name.split_once('/').unwrap_or_default();
        json!({
            "identifier": format!("urn:air:{host}:{local}"),
            "displayName": entry.title,
            "description": entry.description,
            "type": super::response::CARD,
            "url": format!("{}/server-card", entry.url),
        })
    };
    json!({
        "specVersion": if is_ai_catalog { "0.9" } else { "draft" },
        "entries": entries.iter().map(entry).collect::<Vec<_>>(),
    })
}

fn remote(entry: &Entry) -> Value {
    let mut remote = json!({ "type": "streamable-http", "url": entry.url });
    if entry.needs_token {
        // Clients ask for the token. Where an issuer is configured, they sign in instead.
        remote["headers"] = json!([{
            "name": "Authorization",
            "description": "Token of the gateway",
            "isRequired": true,
            "isSecret": true,
            "value": "Bearer {token}",
            "variables": { "token": {
                "description": "Token of the gateway",
                "isRequired": true,
                "isSecret": true,
            } },
        }]);
    }
    remote
}
