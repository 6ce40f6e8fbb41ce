//! Tools that a server runs only as a task, called by a client that does not ask for one.

use std::num::NonZeroUsize;
use std::time::Duration;

use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_tests::client::Session;
use mcp_orchestrator_tests::wait::within;
use serde_json::{Value, json};

use super::legacy_client::answering;
use super::{ModernCall, all, gateways, usual};

/// The answers that the task got.
fn name_of(response: &Value) -> &Value {
    &response["result"]["answers"]["name"]["content"]["name"]
}

async fn legacy_call(session: &Session, arguments: &str) -> Value {
    let reply = session.begin("\"c\"", "job", arguments).await;
    let answered = answering(session, reply, |asked| {
        assert_eq!(asked["params"].get("_meta"), None, "{asked}");
        Some(json!({ "result": usual(asked) }))
    });
    answered.await.pop().unwrap()
}

#[tokio::test]
async fn legacy_client_gets_the_result_of_a_task_of_either_era_and_its_requests() {
    for is_modern in [true, false] {
        let (gateways, _http) = gateways(is_modern).await;
        for (transport, gateway) in &gateways {
            let session = gateway.client("ann").session_with(&all().to_string()).await;
            let response = legacy_call(&session, "{}").await;
            assert_eq!(response["id"], "c", "{transport} {response}");
            assert_eq!(*name_of(&response), "ü", "{transport} {response}");
            let result = response["result"].as_object().unwrap();
            for member in ["resultType", "taskId", "_meta"] {
                let value = result.get(member).filter(|value| **value != json!({}));
                assert_eq!(value, None, "{transport} {response}");
            }
            let response = legacy_call(&session, r#"{"fail":true}"#).await;
            assert_eq!(response["error"]["code"], -32000, "{transport} {response}");
            assert_eq!(response["error"]["message"], "the job failed");
        }
    }
}

#[tokio::test]
async fn modern_client_gets_the_result_of_a_legacy_servers_task_and_its_requests() {
    let (gateways, _http) = gateways(false).await;
    for (transport, gateway) in &gateways {
        let ann = gateway.client("ann");
        let call = ModernCall::tool(&ann, "job", json!({}));
        let (response, rounds) = call.to_the_end(usual).await;
        assert_eq!(rounds, 1, "{transport} {response}");
        assert_eq!(*name_of(&response), "ü", "{transport} {response}");
        assert_eq!(response["result"]["resultType"], "complete");
        let call = ModernCall::tool(&ann, "job", json!({ "fail": true }));
        let response = call.send("2", json!({})).await;
        assert_eq!(response["error"]["code"], -32000, "{transport} {response}");
    }
}

#[tokio::test]
async fn modern_client_of_a_modern_server_learns_that_it_needs_tasks() {
    let (gateways, _http) = gateways(true).await;
    for (_, gateway) in &gateways {
        let ann = gateway.client("ann");
        let call = ModernCall::tool(&ann, "job", json!({}));
        let response = call.send("1", json!({})).await;
        assert_eq!(response["error"]["code"], -32021, "{response}");
    }
}

#[tokio::test]
async fn cancelled_call_cancels_the_task() {
    for is_modern in [true, false] {
        let (gateways, http) = gateways(is_modern).await;
        let (_, gateway) = &gateways[1];
        let session = gateway.client("ann").session_with(&all().to_string()).await;
        let begun = session.begin("9", "job", r#"{"hang":true}"#);
        let waited = if is_modern {
            "tasks/get"
        } else {
            "tasks/result"
        };
        let cancelled = async {
            within("the wait for the task", async {
                while http.server.received_of(waited).is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
            session.cancel("9").await;
            within("the cancellation of the task", async {
                while http.server.received_of("tasks/cancel").is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
        };
        let (_reply, ()) = tokio::join!(begun, cancelled);
    }
}

#[tokio::test]
async fn task_counts_as_a_call_in_flight() {
    for is_modern in [true, false] {
        let (gateways, http) = gateways(is_modern).await;
        let (_, gateway) = &gateways[1];
        gateway.orchestrator.set_limits(Limits {
            calls_per_principal: NonZeroUsize::new(1),
            ..Limits::default()
        });
        let session = gateway.client("ann").session_with(&all().to_string()).await;
        let waited = if is_modern {
            "tasks/get"
        } else {
            "tasks/result"
        };
        let begun = session.begin("9", "job", r#"{"hang":true}"#);
        let refused = async {
            within("the wait for the task", async {
                while http.server.received_of(waited).is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
            let refused = session.tool("echo", "{}").await;
            assert_eq!(refused["error"]["code"], 1001, "{refused}");
            session.cancel("9").await;
        };
        let (_reply, ()) = tokio::join!(begun, refused);
        let answer = within("the end of the task's call", async {
            loop {
                let answer = session.tool("echo", "{}").await;
                if answer["error"].is_null() {
                    return answer;
                }
            }
        });
        assert!(answer.await["result"].is_object());
    }
}

#[tokio::test]
async fn odd_capabilities_of_a_client_do_not_prevent_a_task() {
    let (gateways, _http) = gateways(true).await;
    for (transport, gateway) in &gateways {
        for odd in ["[]", "5", "null", r#""x""#, r#"{"x":{}}"#] {
            let able = format!(r#"{{"elicitation":{{}},"extensions":{odd}}}"#);
            let session = gateway.client("ann").session_with(&able).await;
            let response = legacy_call(&session, "{}").await;
            assert_eq!(*name_of(&response), "ü", "{transport} {odd} {response}");
        }
    }
}
