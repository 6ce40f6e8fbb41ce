//! A legacy server sends requests to a modern client, through the result of its call.

use mcp_orchestrator_tests::client::call_params;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, SseUpstream, Upstream, scripted};
use mcp_orchestrator_tests::wait::{is_alive, until};
use serde_json::{Value, json};

use super::{ModernCall, answers, gateways, own, three, usual};

#[tokio::test]
async fn requests_of_a_call_reach_the_client_in_one_result_and_their_answers_the_server() {
    let (gateways, http) = gateways(false).await;
    for (transport, gateway) in &gateways {
        let ann = gateway.client("ann");
        for rounds in [1, 3] {
            let arguments = json!({ "requests": three(), "rounds": rounds });
            let call = ModernCall::tool(&ann, "input", arguments);
            let first = call.send("first", json!({})).await;
            assert_eq!(first["id"], "first", "{transport} {first}");
            let asked = first["result"]["inputRequests"].as_object().unwrap();
            assert_eq!(asked.len(), 3, "{transport} {first}");
            let roots = json!({ "method": "roots/list", "params": {} });
            assert!(asked.values().any(|request| *request == roots), "{first}");
            let who = &three()["who"];
            assert!(asked.values().any(|request| request == who), "{first}");
            let (response, taken) = call.to_the_end(usual).await;
            assert_eq!(taken, rounds, "{transport} {response}");
            let result = &response["result"];
            assert_eq!(result["resultType"], "complete", "{transport} {response}");
            for round in result["rounds"].as_array().unwrap() {
                for (key, request) in three().as_object().unwrap() {
                    assert_eq!(round[key], usual(request), "{transport} {key} {response}");
                }
            }
        }
    }
    assert!(http.server.cancelled().is_empty());
}

#[tokio::test]
async fn prompts_and_resources_of_a_legacy_server_reach_the_client_as_tools_do() {
    let (gateways, _http) = gateways(false).await;
    for (transport, gateway) in &gateways {
        let ann = gateway.client("ann");
        for (method, params) in [
            ("prompts/get", json!({ "name": "input" })),
            ("resources/read", json!({ "uri": "test://input" })),
        ] {
            let call = ModernCall {
                method,
                params,
                ..ModernCall::tool(&ann, "input", json!({}))
            };
            let (response, rounds) = call.to_the_end(usual).await;
            assert_eq!(rounds, 1, "{transport} {method} {response}");
            let said = &response["result"]["rounds"][0]["name"]["content"]["name"];
            assert_eq!(*said, "ü", "{transport} {method} {response}");
        }
    }
}

#[tokio::test]
async fn sse_server_request_reaches_a_modern_client_of_a_single_server_gateway() {
    let sse = SseUpstream::start().await;
    let gateway = Gateway::new()
        .server(sse.spec("x"))
        .single_principal()
        .run()
        .await;
    let ann = gateway.client("ann");
    let call = ModernCall::tool(&ann, "input", json!({ "requests": three() }));
    let (response, _) = call.to_the_end(usual).await;
    let said = &response["result"]["rounds"][0]["where"]["roots"][0]["uri"];
    assert_eq!(*said, "file:///a", "{response}");
}

#[tokio::test]
async fn requests_that_were_not_answered_are_asked_again() {
    let (gateways, _http) = gateways(false).await;
    for (transport, gateway) in &gateways {
        let ann = gateway.client("ann");
        let call = ModernCall::tool(&ann, "input", json!({ "requests": three() }));
        let mut response = call.send("0", json!({})).await;
        for left in [2, 1] {
            let mut some = answers(&response, usual);
            let given = some["inputResponses"].as_object_mut().unwrap();
            let keys: Vec<String> = given.keys().skip(1).cloned().collect();
            keys.iter().for_each(|key| drop(given.remove(key)));
            response = call.send(&format!("{left} left"), some).await;
            assert_eq!(response["id"], format!("{left} left"));
            let asked = response["result"]["inputRequests"].as_object();
            assert_eq!(
                asked.map(serde_json::Map::len),
                Some(left),
                "{transport} {response}"
            );
        }
        // Without an answer to it the request is made again.
        let state = json!({ "requestState": response["result"]["requestState"] });
        response = call.send("nothing", state).await;
        let mut other_key = answers(&response, usual);
        other_key["inputResponses"] = json!({ "other": {} });
        response = call.send("another key", other_key).await;
        let response = call.answer("end", &response, usual).await;
        for (key, request) in three().as_object().unwrap() {
            let said = &response["result"]["rounds"][0][key];
            assert_eq!(*said, usual(request), "{transport} {response}");
        }
    }
}

#[tokio::test]
async fn client_gets_only_requests_that_it_declares_and_learns_what_a_failed_call_needed() {
    let (gateways, _http) = gateways(false).await;
    for (transport, gateway) in &gateways {
        let ann = gateway.client("ann");
        for (key, capabilities, required) in [
            (
                "who",
                json!({ "sampling": {}, "roots": {} }),
                json!({ "elicitation": {} }),
            ),
            (
                "who",
                json!({ "elicitation": { "url": {} } }),
                json!({ "elicitation": {} }),
            ),
            (
                "text",
                json!({ "elicitation": {} }),
                json!({ "sampling": {} }),
            ),
            ("where", json!({}), json!({ "roots": {} })),
        ] {
            let call = |fail: bool| ModernCall {
                capabilities: capabilities.clone(),
                ..ModernCall::tool(
                    &ann,
                    "input",
                    json!({ "requests": { key: three()[key] }, "fail": fail }),
                )
            };
            let response = call(false).send("1", json!({})).await;
            let refused = &response["result"]["rounds"][0][key];
            assert_eq!(refused["code"], -32601, "{transport} {key}: {response}");
            assert_eq!(refused["message"], "Method not found", "{response}");
            let response = call(true).send("2", json!({})).await;
            let error = &response["error"];
            assert_eq!(error["code"], -32021, "{transport} {key}: {response}");
            assert_eq!(error["data"]["requiredCapabilities"], required, "{error}");
        }
    }
}

#[tokio::test]
async fn progress_of_a_parked_call_has_the_token_of_the_clients_current_call() {
    let (gateways, _http) = gateways(false).await;
    for (transport, gateway) in &gateways {
        let ann = gateway.client("ann");
        let call = ModernCall::tool(&ann, "input", json!({ "rounds": 2 }));
        let (before, asked) = call.messages("1", json!({ "token": "one" })).await;
        let token = |messages: &[Value]| -> Vec<(Value, Value)> {
            let params = messages.iter().map(|message| &message["params"]);
            params
                .map(|params| (params["progressToken"].clone(), params["progress"].clone()))
                .collect()
        };
        assert_eq!(token(&before), [(json!("one"), json!(1))], "{transport}");
        let mut more = answers(&asked, usual);
        more["token"] = 2.into();
        let (before, asked) = call.messages("2", more).await;
        assert_eq!(token(&before), [(json!(2), json!(2))], "{transport}");
        let (before, response) = call.messages("3", answers(&asked, usual)).await;
        assert_eq!(before, Vec::<Value>::new(), "{transport}");
        assert_eq!(response["result"]["rounds"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn parked_calls_of_one_principal_are_bounded() {
    const MOST: usize = 32;
    let http = Upstream::start(Script::default()).await;
    let gateway = Gateway::new().server(http.spec("http")).run().await;
    let ann = gateway.client("ann");
    let call = ModernCall::tool(&ann, "input", json!({}));
    let mut asked = Vec::new();
    for _ in 0..MOST {
        let response = call.send("1", json!({})).await;
        assert_eq!(response["result"]["resultType"], "input_required");
        asked.push(response);
    }
    let refused = call.send("1", json!({})).await;
    let answer = &refused["result"]["rounds"][0]["name"];
    assert_eq!(answer["code"], -32603, "{refused}");
    let response = call.answer("2", &asked[0], usual).await;
    assert_eq!(response["result"]["resultType"], "complete", "{response}");
    let response = call.send("3", json!({})).await;
    assert_eq!(response["result"]["resultType"], "input_required");
}

#[tokio::test]
async fn parked_call_does_not_outlive_the_orchestrator() {
    let gateway = Gateway::new()
        .server(own(scripted("pipe", &["--era", "legacy"])))
        .run()
        .await;
    let ann = gateway.client("ann");
    let call = ModernCall::tool(&ann, "input", json!({}));
    let response = call.send("first", json!({})).await;
    assert_eq!(response["result"]["resultType"], "input_required");
    let pid = gateway.pids().await[0];
    drop(gateway);
    until("the child to be gone", || !is_alive(pid)).await;
}

#[tokio::test]
async fn log_messages_reach_a_modern_call_that_asks_for_their_level() {
    let (gateways, _http) = gateways(false).await;
    for (transport, gateway) in &gateways {
        let ann = gateway.client("ann");
        let params = call_params("flood", r#"{"n":3}"#);
        for (level, expected) in [("", 0), ("debug", 3), ("info", 3), ("error", 0)] {
            let meta = match level {
                "" => String::new(),
                level => format!(r#","io.modelcontextprotocol/logLevel":"{level}""#),
            };
            let mut reply = ann
                .modern_with("1", "tools/call", &params, &meta, &[])
                .await;
            let mut logged = 0;
            if reply.is_stream() {
                while reply.event().await.unwrap().json().get("method").is_some() {
                    logged += 1;
                }
            }
            assert_eq!(logged, expected, "{transport} {level:?}");
        }
    }
}
