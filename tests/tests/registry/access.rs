//! Who may read what: tokens, public gateways, browser pages, hosts.

use std::sync::Arc;

use mcp_orchestrator_core::auth::{
    Audience, Authenticator, JwtAuthenticator, JwtOptions, LocalAuthenticator,
};
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::testing::issuer::TestIssuer;
use mcp_orchestrator_gateway::{Options, ProtectedResource};
use mcp_orchestrator_tests::client::{Client, json as parsed};
use mcp_orchestrator_tests::gateway::Gateway;
use serde_json::json;

use crate::{PUBLIC, document, gateway, get, names};

const PATHS: [&str; 5] = [
    "/v0.1/servers",
    "/v0.1/servers/com.example.mcp%2Ftools.ops/versions/latest",
    "/mcp/server-card",
    "/mcp/ops/server-card",
    "/.well-known/ai-catalog.json",
];

async fn behind(issuer: &TestIssuer, change: impl FnOnce(&mut Options)) -> Gateway {
    let audience = Audience::Gateway(PUBLIC.parse().unwrap());
    let jwt = JwtAuthenticator::new(JwtOptions::new(issuer.url(), audience)).unwrap();
    let jwt: Arc<dyn Authenticator> = Arc::new(jwt);
    let site = Gateway::new()
        .known_by(jwt)
        .options(|options| {
            options.public_url = Some(PUBLIC.parse().unwrap());
            options.protected = Some(ProtectedResource {
                authorization_servers: vec![issuer.url().to_owned()],
                scopes: Vec::new(),
            });
            change(options);
        })
        .run()
        .await;
    site.router.replace([
        gateway("default", &[]),
        gateway("ops", &[]),
        gateway("own", &["x"]),
    ]);
    site
}

fn bearer(site: &Gateway, issuer: &TestIssuer, audience: &serde_json::Value) -> Client {
    let mut claims = issuer.claims("ann", "");
    claims["aud"] = audience.clone();
    let token = issuer.token(&claims);
    site.client("").bearer(&token)
}

#[tokio::test]
async fn token_lists_the_gateways_that_it_was_issued_for() {
    let issuer = TestIssuer::start().await;
    let site = behind(&issuer, |_| {}).await;
    let (all, ops) = (format!("{PUBLIC}/mcp"), format!("{PUBLIC}/mcp/ops"));
    for (audience, expected) in [
        (json!(all), &["com.example.mcp/tools.default"][..]),
        (json!(ops), &["com.example.mcp/tools.ops"]),
        (
            json!([ops, all]),
            &["com.example.mcp/tools.default", "com.example.mcp/tools.ops"],
        ),
    ] {
        let client = bearer(&site, &issuer, &audience);
        let list = document(client, "/v0.1/servers").await;
        assert_eq!(names(&list), expected, "{audience}");
        // Clients sign in at the issuer, so the entry asks for no header.
        assert!(
            list["servers"][0]["server"]["remotes"][0]
                .get("headers")
                .is_none()
        );
    }
    let client = bearer(&site, &issuer, &json!(ops));
    assert_eq!(get(client, "/mcp/server-card", &[]).await.status, 401);
}

#[tokio::test]
async fn callers_without_a_valid_token_are_challenged_as_at_the_endpoint() {
    let issuer = TestIssuer::start().await;
    let site = behind(&issuer, |_| {}).await;
    let elsewhere = bearer(&site, &issuer, &json!("https://other.example/mcp"));
    let unsigned = site.client("").bearer("a.b.c");
    for client in [site.client("ann"), elsewhere, unsigned] {
        for path in PATHS {
            let mut response = get(client.clone(), path, &[]).await;
            assert_eq!(response.status, 401, "{path}");
            let metadata = response.header("www-authenticate").unwrap().to_owned();
            let gateway = if path.starts_with("/mcp/ops") {
                "/mcp/ops"
            } else {
                "/mcp"
            };
            let place = format!("{PUBLIC}/.well-known/oauth-protected-resource{gateway}\"");
            assert!(metadata.contains(&place), "{path}: {metadata}");
            let error = parsed(&response.bytes().await);
            assert!(error["error"].is_string(), "{path}: {error}");
        }
    }
    // What does not exist reads the same.
    for path in ["/v0.1/servers/x%2Fy/versions", "/mcp/none/server-card"] {
        assert_eq!(
            get(site.client("ann"), path, &[]).await.status,
            401,
            "{path}"
        );
    }
}

#[tokio::test]
async fn public_gateways_are_shown_without_a_token() {
    let issuer = TestIssuer::start().await;
    let site = behind(&issuer, |options| {
        let names = ["ops", "gone"].map(|name| GatewayId::new(name).unwrap());
        options.public_gateways = names.to_vec();
    })
    .await;
    let list = document(site.client("ann"), "/v0.1/servers").await;
    assert_eq!(names(&list), ["com.example.mcp/tools.ops"]);
    // Without a token, nothing is said about the servers.
    let description = &list["servers"][0]["server"]["description"];
    assert_eq!(description, "MCP servers through one endpoint");
    document(site.client("ann"), "/mcp/ops/server-card").await;
    for path in ["/mcp/server-card", "/mcp/gone/server-card"] {
        assert_eq!(
            get(site.client("ann"), path, &[]).await.status,
            401,
            "{path}"
        );
    }
    // The gateway itself is as closed as before.
    let client = site.client("ann").at("/mcp/ops");
    assert_eq!(client.send("POST", &[], b"{}").await.status, 401);
    let all = bearer(&site, &issuer, &json!(format!("{PUBLIC}/mcp")));
    let list = document(all, "/v0.1/servers").await;
    assert_eq!(
        names(&list),
        ["com.example.mcp/tools.default", "com.example.mcp/tools.ops"]
    );
}

#[tokio::test]
async fn unreachable_issuer_is_no_empty_list() {
    let issuer = TestIssuer::start().await;
    let site = behind(&issuer, |_| {}).await;
    let client = bearer(&site, &issuer, &json!(format!("{PUBLIC}/mcp")));
    drop(issuer);
    assert_eq!(get(client, "/v0.1/servers", &[]).await.status, 503);
}

#[tokio::test]
async fn pages_of_any_origin_read_the_registry_but_not_as_the_local_user() {
    let local: Arc<dyn Authenticator> = Arc::new(LocalAuthenticator::for_system_user());
    let site = Gateway::new()
        .known_by(local)
        .options(|options| options.allowed_origins = vec!["https://app.example".to_owned()])
        .run()
        .await;
    let own = format!("http://{}", site.address);
    for (origin, status) in [
        (own.as_str(), 200),
        ("https://app.example", 200),
        ("https://evil.example", 403),
        ("http://localhost:1", 403),
        ("null", 403),
    ] {
        for path in [
            "/v0.1/servers",
            "/mcp/server-card",
            "/.well-known/ai-catalog.json",
        ] {
            let response = get(site.client(""), path, &[("origin", origin)]).await;
            assert_eq!(response.status, status, "{origin} {path}");
            let allowed = response.header("access-control-allow-origin");
            assert_eq!(allowed, Some("*"), "{origin} {path}");
            assert_eq!(response.header("access-control-allow-credentials"), None);
        }
    }
    let list = document(site.client(""), "/v0.1/servers").await;
    // The local user needs no token.
    assert!(
        list["servers"][0]["server"]["remotes"][0]
            .get("headers")
            .is_none()
    );
    let preflight = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
    ];
    let client = site.client("").at("/v0.1/servers");
    let response = client.send("OPTIONS", &preflight, b"").await;
    assert_eq!(response.status, 204);
    let allowed = response.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("Authorization") && allowed.contains("Content-Type"));
    let methods = response.header("access-control-allow-methods").unwrap();
    assert!(
        methods.contains("GET") && methods.contains("OPTIONS"),
        "{methods}"
    );
}

#[tokio::test]
async fn foreign_hosts_and_methods_that_write_are_rejected() {
    let site = Gateway::new().run().await;
    for path in [
        "/v0.1/servers",
        "/mcp/server-card",
        "/.well-known/mcp/catalog.json",
    ] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let response = site.client("ann").at(path).send(method, &[], b"").await;
            assert_eq!(response.status, 405, "{method} {path}");
        }
    }
    let site = Gateway::new()
        .options(|options| options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()])
        .run()
        .await;
    for path in ["/v0.1/servers", "/mcp/server-card"] {
        let headers = [
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        assert_eq!(
            get(site.client("ann"), path, &headers).await.status,
            403,
            "{path}"
        );
    }
}

#[tokio::test]
async fn entry_asks_for_a_token_where_clients_cannot_sign_in() {
    let site = Gateway::new().run().await;
    let list = document(site.client("ann"), "/v0.1/servers").await;
    let header = &list["servers"][0]["server"]["remotes"][0]["headers"][0];
    assert_eq!(
        (&header["name"], &header["isSecret"], &header["value"]),
        (
            &json!("Authorization"),
            &json!(true),
            &json!("Bearer {token}")
        )
    );
    assert_eq!(header["variables"]["token"]["isSecret"], true);
}
