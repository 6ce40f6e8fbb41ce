//! Bodies as deployed servers send them: compressed, with a byte-order mark, in other encodings, too long, or with
//! other statuses.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use mcp_orchestrator_core::server::{Launch, ServerSpec};
use mcp_orchestrator_core::value::Text;
use mcp_orchestrator_tests::client::Session;
use mcp_orchestrator_tests::gateway::Gateway;
use serde_json::{Value, json};

use crate::raw::{Raw, RawAction, Request, events_with, json_status, said, say, usual};

const JSON: &str = "content-type: application/json";

/// Calls a tool of this server as a legacy and as a modern client, and returns both answers.
async fn ask(call: impl Fn(&Request) -> Vec<RawAction> + Send + Sync + 'static) -> [Value; 2] {
    let upstream = Raw::start(move |request| usual(request).unwrap_or_else(|| call(request))).await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let legacy = gateway.session().await.tool("t", "{}").await;
    [legacy, gateway.client("bob").modern_tool("t", "{}").await]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn servers_are_asked_not_to_compress() {
    let upstream = Raw::start(|request| {
        usual(request).unwrap_or_else(|| crate::raw::json_body(&request.answer("fine")))
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    gateway.session().await.tool("t", "{}").await;
    for request in upstream.seen() {
        assert_eq!(
            request.header("accept-encoding"),
            Some("identity"),
            "{request:?}"
        );
    }
}

#[tokio::test]
async fn compressed_responses_are_decoded() {
    type Encode = fn(&[u8]) -> Vec<u8>;
    let zlib: Encode = |bytes| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let raw: Encode = |bytes| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let none: Encode = <[u8]>::to_vec;
    for (coding, encode) in [
        ("gzip", gzip as Encode),
        ("GZip", gzip),
        ("x-gzip", gzip),
        ("deflate", zlib),
        ("deflate", raw),
        ("identity", none),
        ("", none),
    ] {
        let answers = ask(move |request| {
            let body = encode(request.answer("fine").to_string().as_bytes());
            say(200, &format!("{JSON}\ncontent-encoding: {coding}"), body)
        });
        for answer in answers.await {
            assert_eq!(said(&answer), "fine", "{coding} {answer}");
        }
    }
}

#[tokio::test]
async fn compressed_stream_delivers_events_as_they_arrive() {
    let answers = ask(|request| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut acts = vec![events_with("content-encoding: gzip")];
        let log = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": 1 } });
        for message in [&log, &request.answer("fine")] {
            encoder
                .write_all(format!("data: {message}\n\n").as_bytes())
                .unwrap();
            encoder.flush().unwrap();
            acts.push(RawAction::Say(std::mem::take(encoder.get_mut())));
        }
        // The stream stays open: the flushed part must suffice.
        acts.push(RawAction::Hang);
        acts
    });
    for answer in answers.await {
        assert_eq!(said(&answer), "fine", "{answer}");
    }
}

#[tokio::test]
async fn unsupported_content_coding_is_named() {
    for coding in ["br", "zstd", "gzip, br"] {
        let answers = ask(move |_| say(200, &format!("{JSON}\ncontent-encoding: {coding}"), "x"));
        for answer in answers.await {
            let text = answer["error"].to_string();
            assert!(
                text.contains("compressed") && text.contains(coding),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn decompression_bomb_is_rejected() {
    let bomb = gzip(&vec![b' '; 8 << 20]);
    let upstream = Raw::start(move |request| {
        usual(request)
            .unwrap_or_else(|| say(200, &format!("{JSON}\ncontent-encoding: gzip"), &bomb))
    })
    .await;
    let mut spec = upstream.spec("x");
    spec.limits.message_bytes = 1 << 20;
    let gateway = Gateway::new().server(spec).run().await;
    let answer = gateway.session().await.tool("t", "{}").await;
    assert!(said(&answer).contains("larger than"), "{answer}");
}

#[tokio::test]
async fn byte_order_marks_and_invalid_utf8_are_tolerated() {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let with = |request: &Request, latin: bool| {
        let body = request.answer("fine").to_string();
        let body = if latin {
            body.replace("fine", "fine X")
        } else {
            body
        };
        let mut body = body.into_bytes();
        if let Some(at) = body.iter().position(|b| *b == b'X') {
            body[at] = 0xe9;
        }
        body
    };
    for (mark, latin) in [(true, false), (false, true), (true, true)] {
        let answers = ask(move |request| {
            let front = if mark { BYTE_ORDER_MARK } else { b"" };
            say(200, JSON, [front, &with(request, latin)].concat())
        });
        for answer in answers.await {
            assert!(said(&answer).starts_with("fine"), "{answer}");
        }
        let answers = ask(move |request| {
            let front = if mark { BYTE_ORDER_MARK } else { b"" };
            let event = [front, b"data: ", front, &with(request, latin), b"\n\n"].concat();
            vec![events_with(""), RawAction::Say(event), RawAction::Close]
        });
        for answer in answers.await {
            assert!(said(&answer).starts_with("fine"), "{answer}");
        }
    }
}

#[tokio::test]
async fn null_members_count_as_absent() {
    let answers = ask(|request| {
        let mut answer = request.answer("fine");
        answer["error"] = Value::Null;
        crate::raw::json_body(&answer)
    });
    for answer in answers.await {
        assert_eq!(said(&answer), "fine", "{answer}");
    }
    let answers = ask(|request| {
        let mut answer = crate::raw::error(request.id(), -32000, "broken");
        answer["result"] = Value::Null;
        crate::raw::json_body(&answer)
    });
    for answer in answers.await {
        assert_eq!(said(&answer), "broken", "{answer}");
    }
}

#[tokio::test]
async fn null_params_are_accepted() {
    let upstream = Raw::start(|request| {
        usual(request).unwrap_or_else(|| crate::raw::json_body(&request.answer("fine")))
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    for method in ["tools/list", "ping"] {
        let answer = session.request(method, "null").await;
        assert!(answer["error"].is_null(), "{method}: {answer}");
    }
}

#[tokio::test]
async fn response_is_accepted_regardless_of_its_content_type() {
    for kind in [
        "",
        "content-type: text/plain",
        "content-type: application/json-rpc",
        "content-type: text/json",
    ] {
        for answer in ask(move |request| say(200, kind, request.answer("fine").to_string())).await {
            assert_eq!(said(&answer), "fine", "{kind} {answer}");
        }
    }
    for answer in ask(|_| say(200, "content-type: text/html", "<html>welcome</html>")).await {
        let text = said(&answer);
        assert!(
            text.contains("text/html") && !text.contains("welcome"),
            "{answer}"
        );
    }
    for answer in ask(|_| say(202, "", "")).await {
        assert!(said(&answer).contains("no JSON-RPC response"), "{answer}");
    }
}

/// A server that is sent this token with each request.
fn with_token(mut spec: ServerSpec) -> ServerSpec {
    if let Launch::Remote(remote) = &mut spec.launch {
        remote.headers.insert(
            "authorization".into(),
            Text::Secret("Bearer hunter2hunter2".to_owned().into()),
        );
    }
    spec
}

async fn refused(status: u16, headers: &'static str, body: &'static str) -> Value {
    let upstream =
        Raw::start(move |request| usual(request).unwrap_or_else(|| say(status, headers, body)))
            .await;
    let gateway = Gateway::new()
        .server(with_token(upstream.spec("x")))
        .run()
        .await;
    let session: Session = gateway.session().await;
    session.tool("t", "{}").await
}

#[tokio::test]
async fn text_of_a_refusal_is_quoted() {
    for (status, body, quoted) in [
        (
            400,
            "Missing header X-Api-Version",
            "Missing header X-Api-Version",
        ),
        (500, "{\"error\":\"database is down\"}", "database is down"),
        (403, "you are not on the list", "not on the list"),
        (400, "one\r\n\x1b[31mtwo\u{202e}", "one [31mtwo"),
        (400, "you sent Bearer hunter2hunter2", "you sent [secret]"),
    ] {
        let answer = refused(status, "content-type: text/plain", body).await;
        let text = said(&answer);
        assert!(
            text.contains(quoted) && text.contains(&status.to_string()),
            "{answer}"
        );
        assert!(!text.contains("hunter2"), "{answer}");
    }
    let answer = refused(
        500,
        "content-type: text/html",
        "<!doctype html><h1>nginx</h1>",
    )
    .await;
    assert!(!said(&answer).contains("nginx"), "{answer}");
    const ENDLESS: &str = concat!("abcdefghijklmnopqrstuvwxyz ", "abcdefghijklmnopqrstuvwxyz");
    let long = ENDLESS.repeat(2000).leak();
    assert!(said(&refused(500, "", long).await).len() < 600);
}

#[tokio::test]
async fn retry_after_is_forwarded() {
    for (status, after, ms) in [
        (429, "7", 7000),
        (503, "2", 2000),
        (429, "99999999", 300_000),
    ] {
        let headers = format!("retry-after: {after}").leak();
        let answer = refused(status, headers, "wait").await;
        assert_eq!(answer["error"]["data"]["retryAfterMs"], ms, "{answer}");
    }
}

#[tokio::test]
async fn refusal_with_an_incomplete_body_does_not_block_its_caller() {
    let upstream = Raw::start(|request| {
        usual(request).unwrap_or_else(|| {
            let head =
                "HTTP/1.1 500 X\r\ncontent-type: text/plain\r\ncontent-length: 100000\r\n\r\nwait";
            vec![RawAction::Say(head.into()), RawAction::Hang]
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let answer = gateway.session().await.tool("t", "{}").await;
    assert!(said(&answer).contains("500"), "{answer}");
}

#[tokio::test]
async fn json_error_of_a_refusal_is_forwarded_verbatim() {
    let upstream = Raw::start(|request| {
        usual(request).unwrap_or_else(|| {
            let error = json!({ "code": -32602, "message": "no", "data": { "x": [1] } });
            json_status(
                400,
                &json!({ "jsonrpc": "2.0", "id": request.id(), "error": error }),
            )
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let answer = gateway.session().await.tool("t", "{}").await;
    assert_eq!(answer["error"]["data"]["x"][0], 1, "{answer}");
}
