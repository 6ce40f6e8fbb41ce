//! Connections that are idle or too many.

use std::time::Duration;

use mcp_orchestrator_tests::gateway::{Builder, Gateway};
use mcp_orchestrator_tests::scripted::scripted;
use mcp_orchestrator_tests::wait::within;

use crate::frames::{self, PREFACE};
use crate::raw::{Raw, post};

const SHORT: Duration = Duration::from_millis(300);

fn gateway() -> Builder {
    Gateway::new().server(scripted("a", &["--era", "both"]))
}

/// Deadlines short enough for a test.
fn hurried() -> Builder {
    gateway().connections(|limits| {
        limits.head_timeout = SHORT;
        limits.idle_timeout = SHORT;
    })
}

#[tokio::test]
async fn connection_without_a_request_is_closed_at_every_stage() {
    let gateway = hurried().run().await;
    let (half, whole) = (&PREFACE[..16], [PREFACE, &frames::settings()].concat());
    let stages: [(&str, &[u8]); 8] = [
        ("nothing", b""),
        ("one byte", b"P"),
        ("one byte of another method", b"G"),
        ("half of an HTTP/2 preface", half),
        ("an HTTP/2 preface", PREFACE),
        ("an HTTP/2 preface with settings", &whole),
        ("half of a head", b"POST /mcp HTTP/1.1\r\nhost: local"),
        ("an empty line", b"\r\n"),
    ];
    for (what, sent) in stages {
        let mut raw = Raw::with(gateway.address, sent).await;
        raw.rest(what).await;
    }
    // A connection that has served a request is closed too when it stays idle.
    let mut used = Raw::with(
        gateway.address,
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    )
    .await;
    let said = used.text_to_end("an idle connection").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
}

#[tokio::test]
async fn head_sent_byte_by_byte_times_out() {
    let gateway = hurried().run().await;
    for sent in [&b"GET /healthz HTTP/1.1\r\nx-a: "[..], b"PRI * HTTP/2"] {
        let (mut read, mut write) = Raw::with(gateway.address, sent).await.0.into_split();
        let trickling = async {
            use tokio::io::AsyncWriteExt as _;
            while write.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ended = async {
            let mut all = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut all).await;
        };
        within("the end", async { tokio::join!(trickling, ended) }).await;
    }
}

#[tokio::test]
async fn http2_connection_that_only_pings_is_closed() {
    let gateway = hurried().run().await;
    let mut raw = Raw::with(gateway.address, PREFACE).await;
    raw.send(&frames::settings()).await;
    let pinging = async { while raw.send(&frames::ping()).await {} };
    within("the end of a connection that pings", pinging).await;
}

#[tokio::test]
async fn idle_connections_do_not_lock_out_others() {
    let gateway = gateway()
        .connections(|limits| limits.connections = 64)
        .run()
        .await;
    let ann = gateway.session().await;
    let mut listening = ann.listen(None).await;
    let mut idle = Vec::new();
    for count in 0..400 {
        let sent: &[u8] = match count % 4 {
            0 => b"",
            1 => b"GET /he",
            2 => PREFACE,
            _ => b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        };
        idle.push(Raw::with(gateway.address, sent).await);
        if count % 50 == 0 {
            let answer = ann.tool("echo", r#"{"text":"x"}"#).await;
            assert!(answer["result"].is_object(), "{answer}");
        }
    }
    idle[0].rest("the connection that was idle longest").await;
    // A connection in use was not closed to make room.
    gateway.apply(vec![scripted("b", &[])]);
    let event = listening.event().await.unwrap().json();
    assert_eq!(event["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn connection_over_the_limit_is_rejected_with_the_reason() {
    let gateway = gateway()
        .connections(|limits| limits.connections = 3)
        .run()
        .await;
    let session = gateway.session().await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let own = gateway.client("bob");
        let body = r#"{"notifications":{"toolsListChanged":true}}"#;
        streams.push(own.modern_raw("1", "subscriptions/listen", body).await);
    }
    let mut refused = Raw::with(
        gateway.address,
        post("/mcp", "content-length: 2\r\n").as_bytes(),
    )
    .await;
    let said = refused
        .text_to_end("a refused connection")
        .await
        .to_ascii_lowercase();
    assert!(said.starts_with("http/1.1 503"), "{said}");
    assert!(said.contains("retry-after: 1"), "{said}");
    assert!(said.contains("too many connections"), "{said}");
    drop(streams);
    within("room again", async {
        let call = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let session = session.id.clone();
        while !matches!(
            gateway.client("ann").try_send("POST", &[("mcp-session-id", &session)], call).await,
            Ok(answer) if answer.status == 200
        ) {}
    })
    .await;
}
