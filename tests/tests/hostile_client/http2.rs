//! HTTP/2 at `/mcp`: calls, and floods of resets, frames and bodies that do not arrive.

use std::time::Duration;

use mcp_orchestrator_tests::gateway::{Builder, Gateway};
use mcp_orchestrator_tests::scripted::scripted;
use mcp_orchestrator_tests::wait::within;
use tokio::io::AsyncReadExt as _;

use crate::frames::{self, CONTINUATION, DATA, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM};
use crate::raw::Raw;

const INITIALIZE: &[u8] = br#"{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}"#;

fn gateway() -> Builder {
    Gateway::new().server(scripted("a", &[]))
}

async fn connect(gateway: &Gateway) -> Raw {
    let mut raw = Raw::with(gateway.address, PREFACE).await;
    raw.send(&frames::settings()).await;
    raw
}

/// Reads into `all` until a matching frame arrives.
async fn until(
    (raw, all): (&mut Raw, &mut Vec<u8>),
    what: &str,
    found: impl Fn(u8, u32, &[u8]) -> bool,
) -> bool {
    within(what, async {
        loop {
            let frames = frames::parse(all);
            if frames
                .iter()
                .any(|(kind, stream, payload)| found(*kind, *stream, payload))
            {
                return true;
            }
            if raw.0.read_buf(all).await.unwrap_or(0) == 0 {
                return false;
            }
        }
    })
    .await
}

async fn is_served(gateway: &Gateway) {
    let answer = gateway.session().await.tool("echo", "{}").await;
    assert!(answer["result"].is_object(), "{answer}");
}

#[tokio::test]
async fn calls_on_one_connection_are_answered_concurrently() {
    let gateway = gateway().run().await;
    let mut raw = connect(&gateway).await;
    for stream in [1, 3, 5] {
        raw.send(&frames::post(stream, 0)).await;
    }
    for stream in [5, 1, 3] {
        raw.send(&frames::frame(DATA, END_STREAM, stream, INITIALIZE))
            .await;
    }
    let mut all = Vec::new();
    within("three answers", async {
        loop {
            let bodies = frames::parse(&all);
            let answered = bodies.iter().filter(|(kind, _, payload)| {
                *kind == DATA && String::from_utf8_lossy(payload).contains("protocolVersion")
            });
            if answered.count() == 3 {
                return;
            }
            assert_ne!(raw.0.read_buf(&mut all).await.unwrap(), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn client_that_keeps_resetting_requests_is_disconnected() {
    let gateway = gateway().run().await;
    let mut raw = connect(&gateway).await;
    let flood = async {
        let mut stream = 1;
        loop {
            let mut both = frames::post(stream, 0);
            both.extend(frames::reset(stream));
            if !raw.send(&both).await {
                return;
            }
            stream += 2;
            assert!(stream < 200_000, "the flood is endured");
        }
    };
    within("the end of a flood of resets", flood).await;
    is_served(&gateway).await;
}

#[tokio::test]
async fn client_that_keeps_abandoning_calls_is_disconnected() {
    let gateway = gateway().run().await;
    is_served(&gateway).await;
    let mut raw = connect(&gateway).await;
    // An answered ping shows that the call before it was accepted.
    let flood = async {
        let mut stream = 1;
        loop {
            let mut sent = frames::call(stream, "hang");
            sent.extend(frames::ping());
            let mut answer = [0; 17];
            let pinged = raw.send(&sent).await && raw.0.read_exact(&mut answer).await.is_ok();
            if !pinged || !raw.send(&frames::reset(stream)).await {
                return;
            }
            stream += 2;
            assert!(stream < 4_000, "the flood is endured");
        }
    };
    within("the end of a flood of cancellations", flood).await;
    is_served(&gateway).await;
}

#[tokio::test]
async fn continuation_flood_is_not_buffered() {
    let gateway = gateway().run().await;
    let mut raw = connect(&gateway).await;
    let block = frames::fields(&[(":method", "POST")]);
    raw.send(&frames::frame(HEADERS, 0, 1, &block)).await;
    let long = "a".repeat(100);
    let more = frames::fields(&[("x-a", &long[..]); 100]);
    let flood = async {
        let mut sent = 0;
        while raw.send(&frames::frame(CONTINUATION, 0, 1, &more)).await {
            sent += more.len();
            assert!(sent < 64 << 20, "the flood is endured");
        }
    };
    within("the end of a flood of continuations", flood).await;
    is_served(&gateway).await;
}

#[tokio::test]
async fn missing_body_ends_only_its_own_stream() {
    let gateway = gateway().connections(|limits| limits.body_timeout = Duration::from_millis(300));
    let gateway = gateway.run().await;
    let mut raw = connect(&gateway).await;
    raw.send(&frames::post(1, 0)).await;
    raw.send(&frames::frame(DATA, 0, 1, b"{")).await;
    let mut all = Vec::new();
    let ended = until(
        (&mut raw, &mut all),
        "the end of the stream",
        |kind, stream, _| stream == 1 && matches!(kind, HEADERS | RST_STREAM),
    );
    assert!(ended.await);
    raw.send(&frames::post(3, 0)).await;
    raw.send(&frames::frame(DATA, END_STREAM, 3, INITIALIZE))
        .await;
    let answered = until(
        (&mut raw, &mut all),
        "another request",
        |kind, stream, payload| {
            assert_ne!(kind, GOAWAY);
            kind == DATA && stream == 3 && String::from_utf8_lossy(payload).contains("result")
        },
    );
    assert!(answered.await);
}

#[tokio::test]
async fn unread_response_is_not_retained() {
    let gateway = gateway().connections(|limits| {
        limits.write_timeout = Duration::from_millis(300);
    });
    let gateway = gateway.run().await;
    let mut raw = Raw::with(gateway.address, PREFACE).await;
    raw.send(&frames::closed_window()).await;
    for stream in [1, 3] {
        raw.send(&frames::post(stream, 0)).await;
        raw.send(&frames::frame(DATA, END_STREAM, stream, INITIALIZE))
            .await;
    }
    // One of them is read.
    let mut all = Vec::new();
    let head = |kind, stream, _: &[u8]| kind == HEADERS && stream == 3;
    assert!(until((&mut raw, &mut all), "the head of a response", head).await);
    raw.send(&frames::window(3, 60_000)).await;
    let body = |kind, stream, _: &[u8]| kind == DATA && stream == 3;
    assert!(until((&mut raw, &mut all), "a response", body).await);
    // Use of the connection does not keep the other response alive.
    let closed = async {
        let (mut read, mut write) = raw.0.split();
        let pinging = async {
            while tokio::io::AsyncWriteExt::write_all(&mut write, &frames::ping())
                .await
                .is_ok()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let mut rest = Vec::new();
        let reading = read.read_to_end(&mut rest);
        tokio::select! {
            _ = reading => {}
            () = pinging => {}
        }
    };
    within("the end of the connection", closed).await;
    let bodies = frames::parse(&all);
    assert!(
        !bodies
            .iter()
            .any(|(kind, stream, _)| (*kind, *stream) == (DATA, 1))
    );
    is_served(&gateway).await;
}
