//! Addresses that a client is asked to open.

use serde_json::{Value, json};

use super::{ModernCall, all, gateways};

#[tokio::test]
async fn error_of_a_legacy_server_becomes_a_request_and_the_call_is_repeated() {
    let (gateways, _http) = gateways(false).await;
    for (transport, gateway) in &gateways {
        let ann = gateway.client("ann");
        let call = ModernCall::tool(&ann, "locked", json!({ "name": *transport }));
        let asked = call.send("1", json!({})).await;
        let result = &asked["result"];
        assert_eq!(
            result["resultType"], "input_required",
            "{transport} {asked}"
        );
        let requests = result["inputRequests"].as_object().unwrap();
        let request = requests.values().next().unwrap();
        assert_eq!(
            *request,
            json!({
                "method": "elicitation/create",
                "params": { "mode": "url", "message": "sign in", "url": "https://example.com/sign-in" },
            }),
            "{transport}"
        );
        let declined = call
            .answer("2", &asked, |_: &Value| json!({ "action": "decline" }))
            .await;
        assert!(
            declined["error"]["message"]
                .as_str()
                .unwrap()
                .contains("did not open")
        );
        let opened = call
            .answer("3", &asked, |_: &Value| json!({ "action": "accept" }))
            .await;
        assert_eq!(opened["result"]["unlocked"], true, "{transport} {opened}");
        assert_eq!(opened["id"], "3");
    }
}

#[tokio::test]
async fn client_without_url_elicitation_gets_the_capability_that_it_lacks() {
    let (gateways, _http) = gateways(false).await;
    for (transport, gateway) in &gateways {
        let ann = gateway.client("ann");
        let call = ModernCall {
            capabilities: json!({ "elicitation": {} }),
            ..ModernCall::tool(&ann, "locked", json!({ "name": *transport }))
        };
        let refused = call.send("1", json!({})).await;
        assert_eq!(refused["error"]["code"], -32021, "{transport} {refused}");
        assert_eq!(
            refused["error"]["data"]["requiredCapabilities"],
            json!({ "elicitation": { "url": {} } })
        );
    }
}

#[tokio::test]
async fn url_elicitation_of_a_modern_server_has_an_id_for_legacy_clients() {
    let (gateways, _http) = gateways(true).await;
    for (transport, gateway) in &gateways {
        let session = gateway.client("ann").session_with(&all().to_string()).await;
        let open = json!({
            "method": "elicitation/create",
            "params": { "mode": "url", "message": "m", "url": "https://example.com/" },
        });
        let arguments = json!({ "requests": { "open": open } }).to_string();
        let mut reply = session.begin("1", "input", &arguments).await;
        let asked = reply.event().await.unwrap().json();
        assert_eq!(
            asked["params"]["url"], "https://example.com/",
            "{transport}"
        );
        let id = asked["params"]["elicitationId"].as_str().unwrap();
        assert!(id.len() >= 16, "{id}");
        let answer =
            json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "action": "accept" } });
        session.notify(&answer.to_string()).await;
        let response = super::json(&reply.message().await);
        assert_eq!(response["result"]["rounds"][0]["open"]["action"], "accept");
    }
}

#[tokio::test]
async fn malformed_demand_for_addresses_is_an_error_of_the_server() {
    let (gateways, _http) = gateways(false).await;
    for (transport, gateway) in &gateways {
        let ann = gateway.client("ann");
        for elicitations in [json!([1]), json!([[]]), json!([]), json!("x"), json!(null)] {
            let error = json!({
                "code": -32042, "message": "m", "data": { "elicitations": elicitations },
            });
            let call = ModernCall::tool(&ann, "error", json!({ "value": error }));
            let response = call.send("1", json!({})).await;
            assert_eq!(response["error"]["code"], -32603, "{transport} {response}");
            assert_eq!(response["error"]["message"], "m", "{transport}");
        }
    }
}
