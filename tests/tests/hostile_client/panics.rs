//! A panic fails only its own request.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use mcp_orchestrator_core::Result;
use mcp_orchestrator_core::auth::{Authenticated, Authenticator, Principal};
use mcp_orchestrator_core::id::PrincipalId;
use mcp_orchestrator_gateway::{Shutdown, serve_with};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::scripted;
use tokio::net::TcpListener;

use crate::raw::Raw;

/// Knows every user except `eve`; panics for `eve`.
#[derive(Debug)]
struct Panics;

#[async_trait::async_trait]
impl Authenticator for Panics {
    async fn authenticate(&self, parts: &http::request::Parts) -> Result<Option<Authenticated>> {
        let name = parts.headers["x-user"].to_str().unwrap();
        assert_ne!(name, "eve", "secret-payload");
        let id = PrincipalId::new(name).unwrap();
        Ok(Some(Authenticated::new(Arc::new(Principal::user(
            id, "test",
        )))))
    }
}

#[tokio::test]
async fn panic_in_a_request_is_an_internal_error() {
    let gateway = Gateway::new()
        .server(scripted("a", &[]))
        .known_by(Arc::new(Panics))
        .run()
        .await;
    let ann = gateway.session().await;
    let mut stream = ann.listen(None).await;
    let mut answer = gateway.client("eve").send("POST", &[], b"{}").await;
    assert_eq!(answer.status, 500);
    let answer = answer.json().await;
    assert_eq!(answer["error"]["code"], -32603, "{answer}");
    assert!(!answer.to_string().contains("secret-payload"), "{answer}");
    assert!(ann.tool("echo", "{}").await["result"].is_object());
    gateway.apply(vec![scripted("b", &[])]);
    assert!(stream.event().await.is_some());
}

#[tokio::test]
async fn panic_in_a_route_or_body_ends_only_that_response() {
    let body = || async {
        let chunks = futures_util::stream::unfold(0, |count| async move {
            assert!(count < 1, "secret-payload");
            Some((
                Ok::<_, std::io::Error>(Bytes::from_static(b"first")),
                count + 1,
            ))
        });
        Body::from_stream(chunks)
    };
    let router = Router::new()
        .route(
            "/panics",
            get(async || -> &'static str { panic!("secret-payload") }),
        )
        .route("/breaks", get(body))
        .route("/works", get(async || "works"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown {
        when: std::future::pending(),
        grace: Duration::ZERO,
    };
    let serving = tokio::spawn(serve_with(listener, router, shutdown));
    let get =
        |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut said = Vec::new();
    for path in ["/panics", "/breaks", "/works"] {
        let mut raw = Raw::with(address, get(path).as_bytes()).await;
        said.push(raw.text_to_end(path).await);
        assert!(!said.concat().contains("secret-payload"), "{said:?}");
    }
    assert!(
        said[0].starts_with("HTTP/1.1 500") && said[0].ends_with("internal error\n"),
        "{said:?}"
    );
    // A response that has begun is cut off, so that it cannot be mistaken for a complete one.
    assert!(!said[1].ends_with("0\r\n\r\n"), "{said:?}");
    assert!(
        said[2].starts_with("HTTP/1.1 200") && said[2].ends_with("works"),
        "{said:?}"
    );
    serving.abort();
}
