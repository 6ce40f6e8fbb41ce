//! The `requestState` of the gateway: what it is bound to, and what happens to any other.

use std::time::Duration;

use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, Upstream};
use mcp_orchestrator_tests::wait::within;
use serde_json::{Value, json};

use super::{ModernCall, answers, gateways, usual};

fn refusal(response: &Value) -> &str {
    assert_eq!(response["error"]["code"], -32602, "{response}");
    let message = response["error"]["message"].as_str().unwrap();
    assert!(message.contains("requestState"), "{response}");
    message
}

#[tokio::test]
async fn altered_foreign_and_replayed_states_are_refused_and_the_call_stays_parked() {
    let (gateways, _http) = gateways(false).await;
    for (transport, gateway) in &gateways {
        let (ann, bob) = (gateway.client("ann"), gateway.client("bob"));
        let call = ModernCall::tool(&ann, "input", json!({ "rounds": 1 }));
        let asked = call.send("1", json!({})).await;
        let good = answers(&asked, usual);
        let with_state = |state: &str| {
            let mut changed = good.clone();
            changed["requestState"] = state.into();
            changed
        };
        let state = good["requestState"].as_str().unwrap();
        for altered in [
            format!("{state}A"),
            state[..state.len() - 2].to_owned(),
            state.replacen('.', ".A", 1),
            state[..5].to_owned(),
            "made up".to_owned(),
        ] {
            let response = call.send("2", with_state(&altered)).await;
            refusal(&response);
        }
        let stolen = ModernCall::tool(&bob, "input", json!({ "rounds": 1 }));
        let response = stolen.send("3", good.clone()).await;
        assert!(refusal(&response).contains("another principal"));
        let other = ModernCall::tool(&ann, "input", json!({ "rounds": 2 }));
        let response = other.send("4", good.clone()).await;
        assert!(refusal(&response).contains("another request"));
        let other = ModernCall::tool(&ann, "echo", json!({ "rounds": 1 }));
        refusal(&other.send("5", good.clone()).await);

        let mut wrong = good.clone();
        wrong["inputResponses"]["input-1"] = "text".into();
        let response = call.send("7", wrong).await;
        assert!(
            response["error"]["message"]
                .as_str()
                .unwrap()
                .contains("not an object")
        );

        let response = call.send("8", good.clone()).await;
        assert_eq!(
            response["result"]["rounds"][0]["name"]["content"]["name"], "ü",
            "{transport}"
        );
        let replayed = call.send("9", good.clone()).await;
        assert!(
            refusal(&replayed).contains("has ended or was answered"),
            "{replayed}"
        );
    }
}

#[tokio::test]
async fn state_that_a_legacy_server_did_not_issue_is_refused() {
    let (gateways, http) = gateways(false).await;
    for (_, gateway) in &gateways {
        let ann = gateway.client("ann");
        let call = ModernCall::tool(&ann, "echo", json!({}));
        let state = json!({ "requestState": "of another server" });
        let response = call.send("1", state).await;
        assert!(refusal(&response).contains("was not issued"), "{response}");
    }
    assert_eq!(http.server.calls(), 0);
}

#[tokio::test]
async fn state_of_a_modern_server_passes_unchanged_between_modern_client_and_server() {
    let (gateways, _http) = gateways(true).await;
    for (transport, gateway) in &gateways {
        let ann = gateway.client("ann");
        let call = ModernCall::tool(&ann, "input", json!({ "rounds": 2 }));
        let asked = call.send("1", json!({})).await;
        assert_eq!(asked["result"]["requestState"], "[]", "{transport} {asked}");
        let (response, rounds) = call.to_the_end(usual).await;
        assert_eq!(rounds, 2);
        assert_eq!(
            response["result"]["rounds"][1]["name"]["content"]["name"],
            "ü"
        );
        let mut tampered = answers(&asked, usual);
        tampered["requestState"] = "x".into();
        let response = call.send("3", tampered).await;
        assert_eq!(response["error"]["message"], "requestState is not ours");
    }
}

#[tokio::test]
async fn call_without_an_answer_is_cancelled_after_its_time() {
    let http = Upstream::start(Script::default()).await;
    let gateway = Gateway::new()
        .server(http.spec("x"))
        .input_wait(Duration::from_millis(300))
        .run()
        .await;
    let ann = gateway.client("ann");
    let call = ModernCall::tool(&ann, "input", json!({}));
    let asked = call.send("1", json!({})).await;
    assert_eq!(asked["result"]["resultType"], "input_required");
    within("the cancellation of the call", async {
        while http.server.cancelled().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let late = call.answer("2", &asked, usual).await;
    assert!(refusal(&late).contains("has ended"));
}
