//! Large messages that a server does not complete.

use mcp_orchestrator_tests::client::Client;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::wait::{until, within};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::raw::{Raw, RawAction, json_body, said, usual};

const MIB: usize = 1 << 20;

/// Starts calls that the server does not complete, and returns once it has received them.
async fn hold(upstream: &Raw, clients: &[Client], tool: &'static str, held: &mut JoinSet<Value>) {
    let before = upstream.count(|request| request.tool() == tool);
    for client in clients {
        let client = client.clone();
        held.spawn(async move { client.modern_patient(tool, "{}").await });
    }
    until("the calls at the server", || {
        upstream.count(|request| request.tool() == tool) == before + clients.len()
    })
    .await;
}

#[tokio::test]
async fn incomplete_large_messages_of_a_server_are_limited() {
    const FIT: usize = 8;
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: ";
    let upstream = Raw::start(|request| {
        let begun = |head: &str| {
            let mut bytes = format!("{HEAD}{head}").into_bytes();
            bytes.resize(bytes.len() + 40 * MIB, b'x');
            vec![RawAction::Say(bytes), RawAction::Hang]
        };
        usual(request).unwrap_or_else(|| match request.tool() {
            "announced" => {
                let head = format!("application/json\r\ncontent-length: {}\r\n\r\n", 60 * MIB);
                vec![
                    RawAction::Say(format!("{HEAD}{head}").into_bytes()),
                    RawAction::Hang,
                ]
            }
            "chunked" => begun("application/json\r\ntransfer-encoding: chunked\r\n\r\n3ffffff\r\n"),
            "event" => begun("text/event-stream\r\n\r\ndata: "),
            _ => json_body(&request.answer("fine")),
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let bob = gateway.client("bob");
    assert_eq!(said(&bob.modern_tool("t", "{}").await), "fine");
    let clients: Vec<_> = (0..=FIT)
        .map(|n| gateway.client(&format!("u{n}")))
        .collect();
    let mut held = JoinSet::new();
    hold(&upstream, &clients, "announced", &mut held).await;
    let is_refused = |tool: &str, answer: &Value| {
        assert_eq!(answer["error"]["code"], 1001, "{tool}: {answer}");
        let text = answer["error"]["message"].as_str().unwrap();
        assert!(text.contains("not delivered yet"), "{text}");
    };
    // One of the calls is over the limit.
    let failed = within("the failure of one call", held.join_next()).await;
    is_refused("announced", &failed.unwrap().unwrap());
    for tool in ["chunked", "event"] {
        let failed = within("a failure", bob.modern_patient(tool, "{}")).await;
        is_refused(tool, &failed);
    }
    // Calls with small messages go on.
    assert_eq!(said(&bob.modern_tool("t", "{}").await), "fine");
    held.abort_all();
    while held.join_next().await.is_some() {}
    // The memory is available again.
    hold(&upstream, &clients[..1], "announced", &mut held).await;
    assert_eq!(said(&bob.modern_tool("t", "{}").await), "fine");
    assert!(held.try_join_next().is_none());
}
