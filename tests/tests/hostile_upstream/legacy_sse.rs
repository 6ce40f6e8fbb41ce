//! Misbehaving servers of the HTTP+SSE transport (2024-11-05).

use std::sync::Arc;

use mcp_orchestrator_core::server::RemoteTransport;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::wait::within;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::raw::{answer, said};

/// How such a server handles a call: the status of the POST, and the bytes it sends on the stream.
type Call = Arc<dyn Fn(&Value) -> (u16, Vec<Vec<u8>>) + Send + Sync>;

struct Server {
    address: std::net::SocketAddr,
    _serving: JoinSet<()>,
}

impl Server {
    async fn start(call: impl Fn(&Value) -> (u16, Vec<Vec<u8>>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let call: Call = Arc::new(call);
        let stream: Arc<Mutex<Option<mpsc::UnboundedSender<Vec<u8>>>>> = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((peer, _)) = listener.accept().await {
                connections.spawn(serve(peer, Arc::clone(&call), Arc::clone(&stream)));
            }
        });
        Self {
            address,
            _serving: serving,
        }
    }

    async fn run(
        &self,
        change: impl FnOnce(&mut mcp_orchestrator_core::server::ServerSpec),
    ) -> Gateway {
        let url = format!("http://{}/sse", self.address);
        let id = mcp_orchestrator_tests::gateway::server_id("x");
        let mut spec = mcp_orchestrator_core::server::ServerSpec::remote(id, url.parse().unwrap());
        if let mcp_orchestrator_core::server::Launch::Remote(remote) = &mut spec.launch {
            remote.transport = RemoteTransport::Sse;
        }
        change(&mut spec);
        Gateway::new().server(spec).run().await
    }
}

/// The results of requests other than tool calls.
fn result_of(method: Option<&str>) -> Value {
    match method {
        Some("initialize") => json!({
            "protocolVersion": "2024-11-05", "capabilities": { "tools": {} },
            "serverInfo": { "name": "x", "version": "1" },
        }),
        Some("tools/list") => {
            json!({ "tools": [{ "name": "t", "inputSchema": { "type": "object" } }] })
        }
        _ => Value::Null,
    }
}

async fn serve(
    mut peer: tokio::net::TcpStream,
    call: Call,
    stream: Arc<Mutex<Option<mpsc::UnboundedSender<Vec<u8>>>>>,
) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !matches!(peer.read_buf(&mut buffer).await, Ok(n) if n > 0) {
                return;
            }
        };
        let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
        if head.starts_with("GET") {
            let (sender, mut said) = mpsc::unbounded_channel::<Vec<u8>>();
            *stream.lock() = Some(sender);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: endpoint\ndata: /messages\n\n";
            peer.write_all(head.as_bytes()).await.unwrap();
            while let Some(bytes) = said.recv().await {
                if peer.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            return;
        }
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        while buffer.len() < length {
            if !matches!(peer.read_buf(&mut buffer).await, Ok(n) if n > 0) {
                return;
            }
        }
        let body: Vec<u8> = buffer.drain(..length).collect();
        let message: Value = serde_json::from_slice(&body).unwrap();
        let result = result_of(message["method"].as_str());
        let (status, said) = if message["method"] == "tools/call" {
            call(&message)
        } else if message["id"].is_null() {
            (202, Vec::new())
        } else {
            (
                202,
                vec![event(
                    &json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }),
                )],
            )
        };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nno");
        if status == 0 || peer.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        let out = stream.lock().clone();
        for bytes in said {
            let _ = out.as_ref().unwrap().send(bytes);
        }
    }
}

fn event(value: &Value) -> Vec<u8> {
    format!("event: message\ndata: {value}\n\n").into_bytes()
}

#[tokio::test]
async fn rejected_message_fails_its_call_at_once() {
    for (status, code) in [
        (404, 1005),
        (401, 1006),
        (403, 1003),
        (413, 1005),
        (429, 1003),
        (500, 1003),
        (503, 1003),
        (0, 1003),
    ] {
        let server = Server::start(move |_| (status, Vec::new())).await;
        let gateway = server.run(|_| {}).await;
        let session = gateway.session().await;
        for answer in [
            within("the end of the call", session.tool("t", "{}")).await,
            within(
                "the end of the call",
                gateway.client("bob").modern_tool("t", "{}"),
            )
            .await,
        ] {
            assert_eq!(answer["error"]["code"], code, "{status} {answer}");
        }
        assert_eq!(session.tools().await, ["t"], "the conversation goes on");
    }
}

#[tokio::test]
async fn junk_and_foreign_responses_on_the_stream_are_skipped() {
    let server = Server::start(|message| {
        let said = vec![
            b"data: not json\n\n: comment\n\nevent: ping\ndata: x\n\ndata:\n\n".to_vec(),
            event(&answer(&json!("x"), "of somebody else")),
            event(&answer(&json!(99_999), "of somebody else")),
            b"\xef\xbb\xbfdata: \xef\xbb\xbf".to_vec(),
            answer(&json!(message["id"].to_string()), "fine")
                .to_string()
                .into_bytes(),
            b"\r\n\r\n".to_vec(),
        ];
        (202, said)
    })
    .await;
    let gateway = server.run(|_| {}).await;
    assert_eq!(said(&gateway.session().await.tool("t", "{}").await), "fine");
    assert_eq!(
        said(&gateway.client("bob").modern_tool("t", "{}").await),
        "fine"
    );
}

#[tokio::test]
async fn event_over_the_limit_fails_only_its_own_call() {
    let server = Server::start(|message| {
        let arguments = &message["params"]["arguments"];
        let said = match arguments["how"].as_str() {
            Some("long") => vec![event(&answer(&message["id"], &"y".repeat(300_000)))],
            _ => vec![event(&answer(&message["id"], "fine"))],
        };
        (202, said)
    })
    .await;
    let gateway = server
        .run(|spec| spec.limits.message_bytes = 64 << 10)
        .await;
    let session = gateway.session().await;
    let long = within(
        "the end of the call",
        session.tool("t", r#"{"how":"long"}"#),
    )
    .await;
    assert!(said(&long).contains("larger than 65536"), "{long}");
    assert_eq!(
        said(&session.tool("t", "{}").await),
        "fine",
        "the conversation goes on"
    );
}

#[tokio::test]
async fn flood_without_messages_ends_the_conversation() {
    let server = Server::start(|_| (202, vec![b": ping\n\n".repeat(400_000)])).await;
    let gateway = server.run(|_| {}).await;
    let answer = within(
        "the end of the call",
        gateway.session().await.tool("t", "{}"),
    )
    .await;
    assert!(said(&answer).contains("without a message"), "{answer}");
}
