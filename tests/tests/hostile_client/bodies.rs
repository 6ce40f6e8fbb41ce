//! Bodies that arrive slowly, come from unknown senders, or do not arrive at all.

use std::time::Duration;

use mcp_orchestrator_tests::gateway::{Builder, Gateway};
use mcp_orchestrator_tests::scripted::scripted;
use mcp_orchestrator_tests::wait::within;
use tokio::io::AsyncWriteExt as _;

use crate::raw::{Raw, post};

fn hurried() -> Builder {
    Gateway::new()
        .server(scripted("a", &[]))
        .connections(|limits| {
            limits.body_timeout = Duration::from_millis(300);
            limits.min_body_rate = 1 << 20;
        })
}

#[tokio::test]
async fn slow_body_times_out() {
    let gateway = hurried().run().await;
    for (headers, piece) in [
        ("content-length: 100000\r\n", &b"{"[..]),
        ("transfer-encoding: chunked\r\n", b"1\r\n{\r\n"),
        ("content-length: 100000\r\nexpect: 100-continue\r\n", b" "),
    ] {
        let raw = Raw::with(gateway.address, post("/mcp", headers).as_bytes()).await;
        let (read, mut write) = raw.0.into_split();
        let trickling = async {
            while write.write_all(piece).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let mut said = Vec::new();
        let mut read = read;
        let reading = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut said);
        let _ = within("the end of a slow body", async {
            tokio::join!(reading, trickling)
        })
        .await;
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("HTTP/1.1 408"), "{headers}: {said}");
        assert!(said.contains("too slowly"), "{said}");
    }
}

#[tokio::test]
async fn large_body_that_keeps_arriving_is_accepted() {
    // It takes longer than the body timeout but is fast enough for the minimum rate.
    let gateway = hurried().connections(|limits| {
        limits.body_timeout = Duration::from_millis(200);
        limits.min_body_rate = 1000;
    });
    let gateway = gateway.run().await;
    let session = gateway.session().await;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"_meta":{{"x":"{}"}}}}}}"#,
        "x".repeat(40_000)
    );
    let head = format!(
        "content-length: {}\r\nmcp-session-id: {}\r\n",
        body.len(),
        session.id
    );
    let mut raw = Raw::with(gateway.address, post("/mcp", &head).as_bytes()).await;
    for piece in body.as_bytes().chunks(4_000) {
        raw.send(piece).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said = raw.head().await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
}

#[tokio::test]
async fn body_is_not_read_before_authentication() {
    let gateway = Gateway::new().server(scripted("a", &[])).run().await;
    let anonymous = post("/mcp", "content-length: 16000000\r\n").replace("x-user: ann\r\n", "");
    let mut raw = Raw::with(gateway.address, anonymous.as_bytes()).await;
    let said = raw.head().await;
    assert!(said.starts_with("HTTP/1.1 401"), "{said}");
    raw.rest("the end of a connection whose body is not wanted")
        .await;
    for (headers, status) in [
        ("content-length: 17000000\r\n", "413"),
        ("content-length: 5\r\ncontent-encoding: gzip\r\n", "415"),
        ("content-length: 5\r\ncontent-type: text/plain\r\n", "400"),
    ] {
        let mut raw = Raw::with(gateway.address, post("/mcp", headers).as_bytes()).await;
        let said = match status {
            "400" => {
                raw.send(b"{    ").await;
                raw.head().await
            }
            _ => raw.head().await,
        };
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status}")),
            "{headers}: {said}"
        );
    }
}

/// Returns the status of a large body that arrives at once.
async fn large(gateway: &Gateway, user: &str) -> String {
    let head = post("/mcp", "content-length: 200000\r\nconnection: close\r\n");
    let head = head.replace("x-user: ann", &format!("x-user: {user}"));
    let mut raw = Raw::with(gateway.address, head.as_bytes()).await;
    raw.send(&vec![b' '; 200_000]).await;
    let said = raw.head().await;
    said.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn memory_for_large_bodies_is_bounded_per_sender() {
    let gateway = Gateway::new().server(scripted("a", &[])).run().await;
    let head = post("/mcp", "content-length: 16777216\r\n");
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::with(gateway.address, head.as_bytes()).await;
        raw.send(&vec![b' '; 200_000]).await;
        held.push(raw);
    }
    within("a refusal", async {
        while large(&gateway, "ann").await != "429" {}
    })
    .await;
    assert_eq!(
        large(&gateway, "bob").await,
        "400",
        "others are not concerned"
    );
    let small = gateway.session().await.request("ping", "{}").await;
    assert!(
        small["error"].is_null(),
        "small ones are not concerned: {small}"
    );
    drop(held);
    within("room again", async {
        while large(&gateway, "ann").await != "400" {}
    })
    .await;
}
