//! Callers with tokens of an issuer: how a client learns where to get one, and how invalid ones are refused.

use std::sync::Arc;

use mcp_orchestrator_core::auth::{Audience, Authenticator, JwtAuthenticator, JwtOptions};
use mcp_orchestrator_core::testing::issuer::{Answers, Signing, TestIssuer};
use mcp_orchestrator_gateway::ProtectedResource;
use mcp_orchestrator_tests::client::{Client, Response};
use mcp_orchestrator_tests::gateway::Gateway;
use serde_json::{Value, json};

const PUBLIC: &str = "https://mcp.example.com/tools";
const AUDIENCE: &str = "https://mcp.example.com/tools/mcp";
const INITIALIZE: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

/// A gateway that accepts tokens of an issuer.
struct Stage {
    issuer: TestIssuer,
    gateway: Gateway,
}

impl Stage {
    async fn new() -> Self {
        let issuer = TestIssuer::start().await;
        let mut options = JwtOptions::new(
            issuer.url(),
            Audience::Gateway(PUBLIC.parse().expect("an address")),
        );
        options.scopes = vec!["mcp".to_owned()];
        options.fetch.pause = std::time::Duration::ZERO;
        let jwt = JwtAuthenticator::new(options).expect("it can be used");
        let jwt: Arc<dyn Authenticator> = Arc::new(jwt);
        let protected = ProtectedResource {
            authorization_servers: vec![issuer.url().to_owned()],
            scopes: vec!["mcp".to_owned()],
        };
        let gateway = Gateway::new()
            .known_by(jwt)
            .options(|options| {
                options.public_url = Some(PUBLIC.parse().expect("an address"));
                options.protected = Some(protected);
                options.allowed_origins = vec!["https://app.example".to_owned()];
                options.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
            })
            .run()
            .await;
        Self { issuer, gateway }
    }

    fn claims(&self, user: &str) -> Value {
        let mut claims = self.issuer.claims(user, AUDIENCE);
        claims["scope"] = json!("mcp");
        claims
    }

    fn at(&self, path: &str) -> Client {
        self.gateway.client("nobody").at(path)
    }

    async fn post(&self, token: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let bearer = format!("Bearer {token}");
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        self.at("/mcp").send("POST", &all, body).await
    }

    /// Returns the status and the challenge of an `initialize` with this token.
    async fn refused(&self, token: &str) -> (u16, String) {
        let response = self.post(token, &[], INITIALIZE).await;
        let challenge = response.header("www-authenticate").unwrap_or_default();
        (response.status, challenge.to_owned())
    }
}

#[tokio::test]
async fn missing_token_response_points_to_the_resource_metadata() {
    let stage = Stage::new().await;
    let response = stage.at("/mcp").send("POST", &[], INITIALIZE).await;
    assert_eq!(response.status, 401);
    assert_eq!(
        response.header("www-authenticate").expect("a challenge"),
        "Bearer resource_metadata=\"https://mcp.example.com/tools/.well-known/oauth-protected-resource/mcp\",scope=\"mcp\""
    );
    let named = stage.at("/mcp/ops").send("POST", &[], INITIALIZE).await;
    let challenge = named.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains("oauth-protected-resource/mcp/ops\""),
        "{challenge}"
    );
    // Every path that a proxy may forward.
    for (place, resource) in [
        ("/.well-known/oauth-protected-resource", AUDIENCE),
        ("/.well-known/oauth-protected-resource/mcp", AUDIENCE),
        ("/.well-known/oauth-protected-resource/tools/mcp", AUDIENCE),
        ("/tools/.well-known/oauth-protected-resource/mcp", AUDIENCE),
        (
            "/.well-known/oauth-protected-resource/tools/mcp/ops",
            "https://mcp.example.com/tools/mcp/ops",
        ),
    ] {
        let metadata = stage.at(place).send("GET", &[], b"").await.json().await;
        assert_eq!(metadata["resource"], resource, "{place}");
        assert_eq!(
            metadata["authorization_servers"],
            json!([stage.issuer.url()])
        );
        assert_eq!(metadata["scopes_supported"], json!(["mcp"]));
        assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
    }
    let none = stage.at("/.well-known/oauth-protected-resource/other");
    assert_eq!(none.send("GET", &[], b"").await.status, 404);
}

#[tokio::test]
async fn valid_token_is_accepted_on_both_paths() {
    let stage = Stage::new().await;
    let token = stage.issuer.token(&stage.claims("ann"));
    let bearer = format!("Bearer {token}");
    for path in ["/mcp", "/tools/mcp"] {
        let headers = [("authorization", bearer.as_str())];
        let mut response = stage.at(path).send("POST", &headers, INITIALIZE).await;
        assert_eq!(response.status, 200, "{path}");
        assert!(response.header("mcp-session-id").is_some());
        assert_eq!(response.json().await["id"], 1);
    }
}

#[tokio::test]
async fn invalid_token_gets_401_and_missing_scope_gets_403() {
    let stage = Stage::new().await;
    let good = stage.claims("ann");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        stage.issuer.token(&claims)
    };
    let now = good["iat"].as_u64().expect("a time");
    let other = TestIssuer::start().await;
    let mut foreign = other.claims("ann", AUDIENCE);
    foreign["scope"] = json!("mcp");
    for (token, why) in [
        (with("exp", json!(now - 100)), "expired"),
        (
            with("aud", json!("https://mcp.example.com/tools/mcp/ops")),
            "audience",
        ),
        (other.token(&foreign), "invalid, expired or revoked token"),
        (
            stage.issuer.signed(&good, Signing::None),
            "not signed in a way",
        ),
        (
            stage.issuer.signed(&good, Signing::PublicKeyAsSecret),
            "not signed in a way",
        ),
        (stage.issuer.signed(&good, Signing::Unsigned), "signature"),
        ("opaque".to_owned(), "invalid, expired or revoked token"),
        ("${MCP_TOKEN}".to_owned(), "the name of a variable"),
        (String::new(), "has no token"),
    ] {
        let (status, challenge) = stage.refused(&token).await;
        assert_eq!(status, 401, "{why}");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(challenge.contains(why), "{challenge} does not say {why}");
        assert!(
            challenge.contains("resource_metadata=\"https://"),
            "{challenge}"
        );
    }
    let (status, challenge) = stage.refused(&with("scope", json!("openid"))).await;
    assert_eq!(status, 403);
    assert!(
        challenge.contains("error=\"insufficient_scope\""),
        "{challenge}"
    );
    assert!(challenge.contains("scope=\"mcp\""), "{challenge}");
    let old = stage.issuer.token(&good);
    assert_eq!(stage.refused(&old).await.0, 200);
    stage.issuer.rotate();
    let new = stage.issuer.token(&good);
    assert_eq!(stage.refused(&new).await.0, 200);
    assert_eq!(stage.refused(&old).await.0, 401);
}

#[tokio::test]
async fn issuer_outage_gets_503_with_retry_after() {
    let stage = Stage::new().await;
    stage.issuer.answers(Answers::Down);
    let token = stage.issuer.token(&stage.claims("ann"));
    let response = stage.post(&token, &[], INITIALIZE).await;
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    assert!(response.header("www-authenticate").is_none());
    stage.issuer.answers(Answers::Well);
    assert_eq!(stage.refused(&token).await.0, 200);
}

#[tokio::test]
async fn session_of_another_user_is_not_found() {
    let stage = Stage::new().await;
    let (ann, bob) = (
        stage.issuer.token(&stage.claims("ann")),
        stage.issuer.token(&stage.claims("bob")),
    );
    let response = stage.post(&ann, &[], INITIALIZE).await;
    let session = response
        .header("mcp-session-id")
        .expect("a session")
        .to_owned();
    let list = br#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
    let headers = [("mcp-session-id", session.as_str())];
    assert_eq!(stage.post(&bob, &headers, list).await.status, 404);
    assert_eq!(stage.post(&ann, &headers, list).await.status, 200);
}

#[tokio::test]
async fn pages_from_allowed_origins_may_call_and_read() {
    let stage = Stage::new().await;
    let app = ("origin", "https://app.example");
    let asks = [
        app,
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,mcp-session-id",
        ),
    ];
    let preflight = stage.at("/mcp").send("OPTIONS", &asks, b"").await;
    assert_eq!(preflight.status, 204);
    let header = |name: &str| preflight.header(name).unwrap_or_default().to_owned();
    assert_eq!(header("access-control-allow-origin"), "https://app.example");
    assert_eq!(
        header("access-control-allow-headers"),
        "authorization, mcp-session-id"
    );
    assert_eq!(header("access-control-allow-credentials"), "");
    // A refusal must be readable too, so that a page learns where to sign in.
    let refused = stage.at("/mcp").send("POST", &[app], INITIALIZE).await;
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    let exposed = refused
        .header("access-control-expose-headers")
        .unwrap_or_default();
    for name in ["Mcp-Session-Id", "WWW-Authenticate", "MCP-Protocol-Version"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    let metadata = stage.at("/.well-known/oauth-protected-resource/mcp");
    let metadata = metadata.send("GET", &[app], b"").await;
    assert_eq!(
        metadata.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    let evil = [("origin", "https://evil.example"), asks[1]];
    let refused = stage.at("/mcp").send("OPTIONS", &evil, b"").await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn forwarded_host_is_checked_against_the_allowed_hosts() {
    let stage = Stage::new().await;
    let place = stage.at("/.well-known/oauth-protected-resource/mcp");
    for (host, status) in [("evil.example", 403), ("localhost", 200)] {
        let headers = [
            ("x-forwarded-host", host),
            ("x-forwarded-for", "198.51.100.7"),
        ];
        assert_eq!(
            place.send("GET", &headers, b"").await.status,
            status,
            "{host}"
        );
    }
}
