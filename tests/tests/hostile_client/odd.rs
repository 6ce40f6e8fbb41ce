//! Unusual input of deployed clients is accepted.

use mcp_orchestrator_core::auth::LocalAuthenticator;
use mcp_orchestrator_tests::client::{LEGACY, MODERN};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::scripted;
use std::sync::Arc;

use crate::raw::Raw;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn initialize() -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{LEGACY}","capabilities":{{}},"clientInfo":{{"name":"raw","version":"1"}}}}}}"#
    )
}

async fn gateway() -> Gateway {
    Gateway::new()
        .server(scripted("a", &["--era", "both"]))
        .run()
        .await
}

#[tokio::test]
async fn trailing_slash_in_the_path_is_accepted() {
    let gateway = gateway().await;
    for path in ["/mcp", "/mcp/", "/mcp/default", "/mcp/default/"] {
        let client = gateway.client("ann").at(path);
        let session = client.session().await;
        assert!(
            session.tool("echo", "{}").await["result"].is_object(),
            "{path}"
        );
        assert!(session.listen(None).await.is_stream(), "{path}");
        assert_eq!(session.delete().await, 200, "{path}");
        assert!(
            client.modern_tool("echo", "{}").await["result"].is_object(),
            "{path}"
        );
    }
    for path in ["/mcp//", "/mcp/none/", "/mcp/default//", "/mcp/a/b"] {
        let (client, body) = (gateway.client("ann").at(path), initialize());
        let sent = client.send("POST", &[], body.as_bytes());
        assert_eq!(sent.await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn byte_order_mark_before_a_message_is_skipped() {
    let gateway = gateway().await;
    let client = gateway.client("ann");
    let marked = [BYTE_ORDER_MARK, initialize().as_bytes()].concat();
    let mut answer = client.send("POST", &[], &marked).await;
    let session = answer.header("mcp-session-id").unwrap().to_owned();
    assert!(answer.json().await["result"].is_object());
    let legacy = [("mcp-session-id", &session[..])];
    let notified = [
        BYTE_ORDER_MARK,
        br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    ]
    .concat();
    assert_eq!(client.send("POST", &legacy, &notified).await.status, 202);
    let modern = format!(
        r#"{{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientInfo":{{"name":"raw","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    );
    let headers = [
        ("mcp-protocol-version", MODERN),
        ("mcp-method", "tools/list"),
    ];
    let mut answer = client
        .send(
            "POST",
            &headers,
            &[BYTE_ORDER_MARK, modern.as_bytes()].concat(),
        )
        .await;
    let answer = answer.json().await;
    assert!(answer["result"]["tools"].is_array(), "{answer}");
    // Anywhere else it is not valid JSON.
    let after = [initialize().as_bytes(), BYTE_ORDER_MARK].concat();
    assert_eq!(client.send("POST", &[], &after).await.status, 400);
}

#[tokio::test]
async fn media_types_are_case_insensitive() {
    let gateway = gateway().await;
    let body = initialize();
    for (content, accept) in [
        ("Application/JSON", "Application/JSON, Text/Event-Stream"),
        ("application/json;charset=UTF-8", "TEXT/*, APPLICATION/*"),
        ("APPLICATION/JSON ; x=y", "*/*"),
    ] {
        let request = format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\nx-user: ann\r\ncontent-type: {content}\r\naccept: {accept}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut raw = Raw::with(gateway.address, request.as_bytes()).await;
        let head = raw.head().await;
        assert!(
            head.starts_with("HTTP/1.1 200"),
            "{content}, {accept}: {head}"
        );
        let session = head
            .lines()
            .find_map(|line| line.strip_prefix("mcp-session-id: "));
        let listen = format!(
            "GET /mcp HTTP/1.1\r\nhost: localhost\r\nx-user: ann\r\naccept: Text/Event-Stream\r\nmcp-session-id: {}\r\n\r\n",
            session.unwrap()
        );
        let mut raw = Raw::with(gateway.address, listen.as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
}

#[tokio::test]
async fn encoded_body_is_rejected_with_the_accepted_encodings() {
    let gateway = gateway().await;
    for encoding in ["gzip", "br", "deflate", "zstd"] {
        let headers = [("content-encoding", encoding)];
        let mut answer = gateway
            .client("ann")
            .send("POST", &headers, b"\x1f\x8b")
            .await;
        assert_eq!(answer.status, 415);
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
        let text = answer.json().await["error"]["message"].to_string();
        assert!(text.contains("Content-Encoding"), "{text}");
    }
    let plain = [("content-encoding", "identity")];
    let (client, body) = (gateway.client("ann"), initialize());
    let answer = client.send("POST", &plain, body.as_bytes());
    assert_eq!(answer.await.status, 200);
}

#[tokio::test]
async fn page_of_another_local_server_cannot_act_as_the_local_user() {
    let local = Arc::new(LocalAuthenticator::for_system_user());
    let gateway = Gateway::new().server(scripted("a", &[])).known_by(local);
    let listed = "http://localhost:6274".to_owned();
    let gateway = gateway
        .options(|options| options.allowed_origins.push(listed))
        .run()
        .await;
    let own = format!("http://{}", gateway.address);
    for (origin, status) in [
        (&own[..], 200),
        ("http://localhost:6274", 200),
        ("http://localhost:3000", 403),
        ("http://127.0.0.1:1", 403),
        ("http://[::1]:8080", 403),
        ("https://localhost", 403),
    ] {
        let headers = [("origin", origin)];
        let (client, body) = (gateway.client("-"), initialize());
        let sent = client.send("POST", &headers, body.as_bytes());
        assert_eq!(sent.await.status, status, "{origin}");
    }
}
