//! A modern server requires input of a legacy client.

use std::sync::atomic::{AtomicUsize, Ordering};

use mcp_orchestrator_tests::client::{Response, Session};
use serde_json::{Value, json};

use super::{all, gateways, three, usual};

/// Reads the reply to a call and answers the requests in it. Returns the other messages, the last of which is the
/// response.
pub(super) async fn answering(
    session: &Session,
    mut reply: Response,
    answer: impl Fn(&Value) -> Option<Value>,
) -> Vec<Value> {
    let mut messages = Vec::new();
    if !reply.is_stream() {
        return vec![super::json(&reply.message().await)];
    }
    loop {
        let message = reply.event().await.unwrap().json();
        if message["method"].is_null() {
            messages.push(message);
            return messages;
        }
        if message["id"].is_null() {
            messages.push(message);
            continue;
        }
        if let Some(mut said) = answer(&message) {
            said["jsonrpc"] = "2.0".into();
            said["id"] = message["id"].clone();
            session.notify(&said.to_string()).await;
        }
    }
}

async fn call(session: &Session, arguments: &Value) -> Value {
    let reply = session
        .begin("\"c\"", "input", &arguments.to_string())
        .await;
    let answered = answering(session, reply, |asked| {
        Some(json!({ "result": usual(asked) }))
    });
    answered.await.pop().unwrap()
}

#[tokio::test]
async fn requests_of_a_result_reach_the_client_and_their_answers_the_server() {
    let (gateways, _http) = gateways(true).await;
    for (transport, gateway) in &gateways {
        let session = gateway.client("ann").session_with(&all().to_string()).await;
        for (rounds, state_first) in [(1, false), (3, false), (2, true)] {
            let arguments =
                json!({ "requests": three(), "rounds": rounds, "state_first": state_first });
            let response = call(&session, &arguments).await;
            assert_eq!(response["id"], "c", "{transport}");
            let result = &response["result"];
            let expected: serde_json::Map<_, _> = three()
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, request)| (key.clone(), usual(request)))
                .collect();
            let expected = Value::from(vec![Value::from(expected); rounds]);
            assert_eq!(result["rounds"], expected, "{transport}: {response}");
            assert_eq!(result["capabilities"], all(), "{transport}");
            assert_eq!(result.get("resultType"), None, "{transport}: {response}");
        }
    }
}

#[tokio::test]
async fn prompts_and_resources_require_input_as_tools_do() {
    let (gateways, _http) = gateways(true).await;
    for (transport, gateway) in &gateways {
        let session = gateway.client("ann").session_with(&all().to_string()).await;
        for (method, params) in [
            ("prompts/get", r#"{"name":"input"}"#),
            ("resources/read", r#"{"uri":"test://input"}"#),
        ] {
            let reply = session.request_raw("5", method, params).await;
            let answered = answering(&session, reply, |asked| {
                assert_eq!(asked["method"], "elicitation/create");
                assert_eq!(asked["params"]["message"], "name");
                Some(json!({ "result": usual(asked) }))
            });
            let response = answered.await.pop().unwrap();
            let round = &response["result"]["rounds"][0]["name"];
            assert_eq!(round["content"]["name"], "ü", "{transport} {response}");
            assert_eq!(response["result"].get("ttlMs"), None, "{response}");
        }
    }
}

#[tokio::test]
async fn server_sees_the_capabilities_of_the_client_and_may_use_no_others() {
    let (gateways, _http) = gateways(true).await;
    for (transport, gateway) in &gateways {
        for (capabilities, key) in [
            (json!({ "sampling": {}, "roots": {} }), "who"),
            (json!({ "elicitation": {}, "roots": {} }), "text"),
            (json!({ "elicitation": { "url": {} } }), "who"),
            (json!({}), "where"),
        ] {
            let session = gateway
                .client("ann")
                .session_with(&capabilities.to_string())
                .await;
            let none = call(&session, &json!({ "rounds": 0 })).await;
            assert_eq!(none["result"]["capabilities"], capabilities, "{transport}");
            let requests = json!({ key: three()[key] });
            let refused = call(&session, &json!({ "requests": requests })).await;
            let error = &refused["error"];
            assert_eq!(error["code"], -32021, "{transport} {key}: {refused}");
            assert!(error["data"]["requiredCapabilities"].is_object(), "{error}");
        }
    }
}

#[tokio::test]
async fn declined_elicitation_is_an_answer_and_another_refusal_ends_the_call() {
    let (gateways, _http) = gateways(true).await;
    for (transport, gateway) in &gateways {
        let session = gateway.client("ann").session_with(&all().to_string()).await;
        let refuse = |_: &Value| Some(json!({ "error": { "code": -1, "message": "not today" } }));
        let who = json!({ "requests": { "who": three()["who"] } }).to_string();
        let reply = session.begin("1", "input", &who).await;
        let response = answering(&session, reply, refuse).await.pop().unwrap();
        let said = &response["result"]["rounds"][0]["who"];
        assert_eq!(
            *said,
            json!({ "action": "cancel" }),
            "{transport} {response}"
        );
        let text = json!({ "requests": { "text": three()["text"] } }).to_string();
        let reply = session.begin("2", "input", &text).await;
        let response = answering(&session, reply, refuse).await.pop().unwrap();
        let message = response["error"]["message"].as_str().unwrap_or_default();
        assert!(
            message.contains("sampling/createMessage") && message.contains("not today"),
            "{transport} {response}"
        );
    }
}

#[tokio::test]
async fn call_ends_after_as_many_rounds_as_are_allowed() {
    let (gateways, _http) = gateways(true).await;
    for (transport, gateway) in &gateways {
        let session = gateway.client("ann").session_with(&all().to_string()).await;
        let forever = json!({ "requests": { "where": three()["where"] }, "rounds": 1000 });
        let response = call(&session, &forever).await;
        let message = response["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("16 times"), "{transport} {response}");
        let many: serde_json::Map<_, _> = (0..33)
            .map(|n| (n.to_string(), three()["where"].clone()))
            .collect();
        let response = call(&session, &json!({ "requests": many })).await;
        let message = response["error"]["message"].as_str().unwrap_or_default();
        assert!(
            message.contains("33 inputRequests"),
            "{transport} {response}"
        );
    }
}

#[tokio::test]
async fn cancelled_call_sends_no_answers_to_the_server() {
    let (gateways, http) = gateways(true).await;
    let (_, gateway) = &gateways[1];
    let session = gateway.client("ann").session_with(&all().to_string()).await;
    let mut reply = session.begin("9", "input", "{}").await;
    let asked = reply.event().await.unwrap().json();
    session.cancel("9").await;
    let late = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": usual(&asked) });
    session.notify(&late.to_string()).await;
    // A later call shows that the late answer was handled.
    let response = call(&session, &json!({ "rounds": 0 })).await;
    assert!(response["result"].is_object(), "{response}");
    let calls = http.server.received_of("tools/call");
    let answered = calls.iter().filter(|call| {
        let body = String::from_utf8_lossy(&call.body);
        body.contains("inputResponses")
    });
    assert_eq!(answered.count(), 0);
}

#[tokio::test]
async fn first_refusal_ends_the_call_while_other_requests_are_open() {
    let (gateways, _http) = gateways(true).await;
    for (transport, gateway) in &gateways {
        let session = gateway.client("ann").session_with(&all().to_string()).await;
        let two = json!({ "a": three()["text"], "b": three()["text"] });
        let arguments = json!({ "requests": two }).to_string();
        let reply = session.begin("1", "input", &arguments).await;
        let asked = AtomicUsize::new(0);
        let answered = answering(&session, reply, |_| {
            let is_second = asked.fetch_add(1, Ordering::Relaxed) == 1;
            is_second.then(|| json!({ "error": { "code": -1, "message": "no" } }))
        });
        let response = answered.await.pop().unwrap();
        let message = response["error"]["message"].as_str().unwrap_or_default();
        assert!(
            message.contains("sampling/createMessage"),
            "{transport} {response}"
        );
    }
}

#[tokio::test]
async fn malformed_requests_of_a_result_fail_the_call_with_the_reason() {
    let (gateways, _http) = gateways(true).await;
    for (transport, gateway) in &gateways {
        let session = gateway.client("ann").session_with(&all().to_string()).await;
        for (request, why) in [
            (
                json!({ "method": "roots/list", "params": [1] }),
                "not an object",
            ),
            (
                json!({ "method": "elicitation/create", "params": "x" }),
                "not an object",
            ),
            (json!({ "method": "tools/call" }), "no method"),
            (json!(1), "no method"),
        ] {
            let arguments = json!({ "requests": { "it": request } });
            let response = call(&session, &arguments).await;
            assert_eq!(response["error"]["code"], 1005, "{transport} {response}");
            let message = response["error"]["message"].as_str().unwrap();
            assert!(message.contains(why), "{transport} {response}");
        }
    }
}
