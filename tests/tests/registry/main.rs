//! The registry API, server cards and the catalog: what callers see of the gateways.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

mod access;
mod pages;
mod schema;

use mcp_orchestrator_core::credential::CredentialRule;
use mcp_orchestrator_core::id::{Alias, GatewayId, PrincipalId};
use mcp_orchestrator_core::router::{
    GatewaySpec, Members, ToolFilter, ToolNames, ToolOverrides, ViewEntry,
};
use mcp_orchestrator_gateway::Options;
use mcp_orchestrator_tests::client::{Client, Response, json as parsed};
use mcp_orchestrator_tests::gateway::{Gateway, server_id};
use mcp_orchestrator_tests::scripted::scripted;
use serde_json::{Value, json};

use crate::schema::{REGISTRY, SERVER_CARD, assert_valid};

const PUBLIC: &str = "https://mcp.example.com/tools";

/// Returns a gateway with one server, `a`.
pub(crate) fn gateway(name: &str, members: &[&str]) -> GatewaySpec {
    let users = members.iter().map(|name| PrincipalId::new(name).unwrap());
    GatewaySpec {
        id: GatewayId::new(name).unwrap(),
        members: match members {
            [] => Members::Everybody,
            _ => Members::These {
                users: users.collect(),
                teams: Vec::new(),
            },
        },
        names: ToolNames::Auto,
        entries: vec![ViewEntry {
            alias: Alias::new("a").unwrap(),
            server: server_id("a"),
            credential: CredentialRule::None,
            tools: ToolFilter::All,
            overrides: ToolOverrides::default(),
        }],
    }
}

/// Runs a gateway process with these gateways.
pub(crate) async fn site(
    gateways: impl IntoIterator<Item = GatewaySpec>,
    change: impl FnOnce(&mut Options),
) -> Gateway {
    let site = Gateway::new()
        .server(scripted("a", &[]))
        .options(change)
        .run()
        .await;
    site.router.replace(gateways);
    site
}

/// The default gateway for all, and one for ann.
async fn usual(change: impl FnOnce(&mut Options)) -> Gateway {
    let gateways = [gateway("default", &[]), gateway("ops", &["ann"])];
    site(gateways, change).await
}

fn public(options: &mut Options) {
    options.public_url = Some(PUBLIC.parse().unwrap());
}

pub(crate) async fn get(client: Client, path: &str, headers: &[(&str, &str)]) -> Response {
    client.at(path).send("GET", headers, b"").await
}

/// Returns the document at this path.
pub(crate) async fn document(client: Client, path: &str) -> Value {
    let mut response = get(client, path, &[]).await;
    assert_eq!(response.status, 200, "{path}");
    parsed(&response.bytes().await)
}

/// Returns the names that the list contains.
pub(crate) fn names(list: &Value) -> Vec<&str> {
    let servers = list["servers"].as_array().unwrap().iter();
    servers
        .map(|one| one["server"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn registry_lists_the_gateways_that_a_caller_may_use() {
    let site = usual(public).await;
    let list = document(site.client("ann"), "/v0.1/servers").await;
    assert_valid(REGISTRY, "ServerList", &list);
    assert_eq!(
        names(&list),
        ["com.example.mcp/tools.default", "com.example.mcp/tools.ops"]
    );
    let ops = &list["servers"][1];
    assert_eq!(
        ops["server"]["remotes"][0]["url"],
        "https://mcp.example.com/tools/mcp/ops"
    );
    assert_eq!(ops["server"]["description"], "a through one endpoint");
    let text = list.to_string();
    for hidden in ["scripted-server", "/target/", "127.0.0.1"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    let list = document(site.client("bob"), "/v0.1/servers").await;
    assert_eq!(names(&list), ["com.example.mcp/tools.default"]);
    // A path in the public address may be stripped by a proxy or not.
    let below = document(site.client("bob"), "/tools/v0.1/servers/").await;
    assert_eq!(below, list);
}

#[tokio::test]
async fn one_server_is_found_by_its_name_in_either_spelling() {
    let site = usual(public).await;
    for path in [
        "/v0.1/servers/com.example.mcp%2Ftools.ops/versions/latest",
        "/v0.1/servers/com.example.mcp%2ftools.ops/versions/0.1.0",
        "/v0.1/servers/com.example.mcp/tools.ops/versions/latest/",
    ] {
        let path = path.replace("0.1.0", env!("CARGO_PKG_VERSION"));
        let server = document(site.client("ann"), &path).await;
        assert_valid(REGISTRY, "ServerResponse", &server);
        assert_eq!(server["server"]["title"], "ops", "{path}");
        let official = &server["_meta"]["io.modelcontextprotocol.registry/official"];
        assert_eq!(
            (&official["isLatest"], &official["status"]),
            (&json!(true), &json!("active"))
        );
        // To others it does not exist.
        let mut missing = get(site.client("bob"), &path, &[]).await;
        assert_eq!(missing.status, 404, "{path}");
        let error = parsed(&missing.bytes().await);
        assert_eq!(error, json!({ "error": "server not found" }));
    }
    let versions = "/v0.1/servers/com.example.mcp%2Ftools.ops/versions";
    let versions = document(site.client("ann"), versions).await;
    assert_valid(REGISTRY, "ServerList", &versions);
    assert_eq!(names(&versions), ["com.example.mcp/tools.ops"]);
    for path in [
        "com.example.mcp%2Ftools.ops",
        "com.example.mcp%2Ftools.ops/versions/9.9.9",
        "com.example.mcp%2Ftools.ops/versions/latest/x",
        "ops/versions/latest",
        "com.example.mcp%2Ftools.none/versions",
        "a%2Fb%2Fc/versions",
    ] {
        let response = get(site.client("ann"), &format!("/v0.1/servers/{path}"), &[]).await;
        assert_eq!(response.status, 404, "{path}");
    }
}

#[tokio::test]
async fn every_gateway_serves_its_card_and_the_catalog_names_the_cards() {
    let site = usual(public).await;
    for path in [
        "/mcp/server-card",
        "/tools/mcp/server-card",
        "/.well-known/mcp/server-card.json",
        "/mcp/default/server-card",
        "/mcp/ops/server-card",
        "/tools/mcp/ops/server-card",
    ] {
        let mut response = get(site.client("ann"), path, &[]).await;
        assert_eq!(response.status, 200, "{path}");
        let media_type = response.header("content-type").unwrap();
        assert_eq!(media_type, "application/mcp-server-card+json", "{path}");
        let card = parsed(&response.bytes().await);
        assert_valid(SERVER_CARD, "ServerCard", &card);
        let url = if path.contains("ops") {
            "https://mcp.example.com/tools/mcp/ops"
        } else {
            "https://mcp.example.com/tools/mcp"
        };
        assert_eq!(card["remotes"][0]["url"], url, "{path}");
        let versions = card["remotes"][0]["supportedProtocolVersions"].to_string();
        assert!(versions.contains("2025-11-25") && versions.contains("2026-07-28"));
    }
    for path in [
        "/mcp/ops/server-card",
        "/mcp/none/server-card",
        "/mcp/A/server-card",
    ] {
        let response = get(site.client("bob"), path, &[]).await;
        assert_eq!(response.status, 404, "{path}");
    }
    let catalog = document(site.client("ann"), "/.well-known/ai-catalog.json").await;
    assert_eq!(
        catalog["entries"][1],
        json!({
            "identifier": "urn:air:mcp.example.com:tools.ops",
            "displayName": "ops",
            "description": "a through one endpoint",
            "type": "application/mcp-server-card+json",
            "url": "https://mcp.example.com/tools/mcp/ops/server-card",
        })
    );
    let catalog = document(site.client("bob"), "/.well-known/mcp/catalog.json").await;
    assert_eq!(catalog["specVersion"], "draft");
    assert_eq!(catalog["entries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn addresses_are_those_of_the_request_without_a_public_one() {
    let site =
        usual(|options| options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let list = document(site.client("bob"), "/v0.1/servers").await;
    assert_eq!(names(&list), ["local.mcp-orchestrator/default"]);
    let url = format!("http://{}/mcp", site.address);
    assert_eq!(list["servers"][0]["server"]["remotes"][0]["url"], url);
    let headers = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    let mut response = get(site.client("bob"), "/mcp/server-card", &headers).await;
    let card = parsed(&response.bytes().await);
    let url = format!("https://{}/mcp", site.address);
    assert_eq!(card["remotes"][0]["url"], url);
}
