//! Many parked calls at once.

use std::time::Duration;

use futures_util::future::join_all;
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, Upstream};
use mcp_orchestrator_tests::wait::within;
use serde_json::{Value, json};

use super::{ModernCall, answers};

const PRINCIPALS: usize = 50;
const CALLS: usize = 20;

fn arguments(principal: usize, call: usize) -> Value {
    let asked = json!({
        "method": "elicitation/create", "params": { "message": format!("{principal}/{call}") },
    });
    json!({ "requests": { "it": asked } })
}

/// Answers with the text of the question.
fn repeated(request: &Value) -> Value {
    json!({ "action": "accept", "content": { "is": request["params"]["message"] } })
}

#[tokio::test]
async fn each_answer_reaches_its_own_call_and_unanswered_calls_are_cancelled() {
    let http = Upstream::start(Script::default()).await;
    let gateway = Gateway::new()
        .server(http.spec("x"))
        .limits(Limits::CONFIGURED)
        .connections(|limits| limits.connections_per_address = 3000)
        .input_wait(Duration::from_secs(20))
        .run()
        .await;
    let clients: Vec<_> = (0..PRINCIPALS)
        .map(|n| gateway.client(&format!("user-{n}")))
        .collect();
    let all: Vec<(usize, usize)> = (0..PRINCIPALS)
        .flat_map(|principal| (0..CALLS).map(move |call| (principal, call)))
        .collect();
    let call_of = |(principal, call): (usize, usize)| {
        ModernCall::tool(&clients[principal], "input", arguments(principal, call))
    };
    let mut parked = Vec::new();
    for some in all.chunks(100) {
        let sent = some.iter().map(|&at| async move {
            let asked = call_of(at).send("first", json!({})).await;
            assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
            (at, asked)
        });
        parked.extend(join_all(sent).await);
    }
    // An order without a relation to that of the calls; every third call gets no answer.
    parked.sort_by_key(|((principal, call), _)| (call * 7 + principal * 13) % 101);
    let (unanswered, answered): (Vec<_>, Vec<_>) = parked
        .into_iter()
        .partition(|((principal, call), _)| (principal + call) % 3 == 0);
    for some in answered.chunks(100) {
        let sent = some.iter().map(|(at, asked)| async move {
            let response = call_of(*at).send("second", answers(asked, repeated)).await;
            let said = &response["result"]["rounds"][0]["it"]["content"]["is"];
            assert_eq!(*said, format!("{}/{}", at.0, at.1), "{response}");
        });
        join_all(sent).await;
    }
    assert_eq!(http.server.cancelled().len(), 0);
    within("the cancellation of unanswered calls", async {
        while http.server.cancelled().len() < unanswered.len() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let (at, asked) = &unanswered[0];
    let late = call_of(*at).send("third", answers(asked, repeated)).await;
    assert_eq!(late["error"]["code"], -32602, "{late}");
}
