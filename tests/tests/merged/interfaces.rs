//! User interfaces (MCP Apps) of several servers at the same address.

use std::collections::BTreeMap;

use serde_json::Value;

use super::servers::{Described, KINDS, NO_RESOURCES, Over, Stage, of, server, text};

const SAME: &str = "ui://app/main.html";

/// Two servers with a user interface at the same address, and a third with another one.
fn three() -> [Described; 3] {
    [
        server("a")
            .tool(r#"{"ui":{"resourceUri":"ui://app/main.html","visibility":["model"]},"n":123456789012345678901234567890}"#)
            .lists(&[SAME, "x://a"]),
        server("b").tool(
            r#"{"ui/resourceUri":"ui:\/\/app\/main.html","ui":{"resourceUri":"ui://app/main.html"}}"#,
        ),
        server("c").tool(r#"{"ui":{"resourceUri":"ui://other"}}"#),
    ]
}

/// Returns the addresses in the tools' definitions, by tool.
fn shown(tools: &Value) -> BTreeMap<String, Vec<String>> {
    let tools = tools["result"]["tools"].as_array().unwrap();
    let of_tool = |tool: &Value| {
        let meta = &tool["_meta"];
        let all = [&meta["ui"]["resourceUri"], &meta["ui/resourceUri"]];
        let all = all.into_iter().filter_map(Value::as_str);
        let all: Vec<String> = all.map(str::to_owned).collect();
        (tool["name"].as_str().unwrap().to_owned(), all)
    };
    tools.iter().map(of_tool).collect()
}

fn raw(value: &str) -> String {
    format!(r#"{{"value":{value}}}"#)
}

#[tokio::test]
async fn same_address_is_told_apart_and_restored() {
    for kind in KINDS {
        let stage = Stage::new(kind, &three()).await;
        let (session, client) = (stage.gateway.session().await, stage.gateway.client("bob"));
        let legacy = shown(&session.request("tools/list", "{}").await);
        let modern = shown(&client.modern("tools/list", "{}").await);
        assert_eq!(legacy, modern);
        assert_eq!(legacy["a__show"], ["ui://a__app/main.html"]);
        assert_eq!(legacy["b__show"], ["ui://b__app/main.html"; 2]);
        assert_eq!(legacy["c__show"], ["ui://other"]);
        for (owner, uri) in [
            ("a", "ui://a__app/main.html"),
            ("b", "ui://b__app/main.html"),
            ("c", "ui://other"),
        ] {
            let read = session.request("resources/read", &of(uri)).await;
            assert_eq!(text(&read), owner, "{kind:?} {read}");
            assert_eq!(read["result"]["contents"][0]["uri"], uri, "{kind:?}");
            let read = client.modern("resources/read", &of(uri)).await;
            assert_eq!(text(&read), owner, "{kind:?} {read}");
            assert_eq!(read["result"]["contents"][0]["uri"], uri, "{kind:?}");
        }
        // From before the second server was there.
        let read = client.modern("resources/read", &of(SAME)).await;
        assert_eq!(text(&read), "a", "{kind:?} {read}");
        assert_eq!(read["result"]["contents"][0]["uri"], SAME, "{kind:?}");
        let listed = session.request("resources/list", "{}").await.to_string();
        assert!(listed.contains(r#""ui://a__app/main.html""#), "{listed}");
        assert!(listed.contains(r#""x://a""#), "{listed}");
    }
}

#[tokio::test]
async fn modern_server_receives_its_own_address_in_body_and_header() {
    let stage = Stage::new(("modern", Over::Http), &three()).await;
    let client = stage.gateway.client("ann");
    client
        .modern("resources/read", &of("ui://b__app/main.html"))
        .await;
    let received = stage.upstream("b").received_of("resources/read");
    let body = String::from_utf8(received[0].body.to_vec()).unwrap();
    assert!(body.contains(r#""uri":"ui://app/main.html""#), "{body}");
    let mut headers = received[0].headers.iter();
    let name = headers.find(|(name, _)| name == "mcp-name").unwrap();
    assert_eq!(name.1, SAME);
}

#[tokio::test]
async fn only_addresses_of_a_definition_are_changed() {
    let stage = Stage::new(("legacy", Over::Pipe), &three()).await;
    let session = stage.gateway.session().await;
    let mut response = session.request_raw("1", "tools/list", "{}").await;
    let text = String::from_utf8(response.message().await.to_vec()).unwrap();
    let kept = r#""_meta":{"ui":{"resourceUri":"ui://a__app/main.html","visibility":["model"]},"n":123456789012345678901234567890}"#;
    assert!(text.contains(kept), "{text}");
}

#[tokio::test]
async fn addresses_in_results_follow_the_definitions() {
    let stage = Stage::new(("legacy", Over::Pipe), &three()).await;
    let session = stage.gateway.session().await;
    session.tools().await;
    let result = r#"{"content":[{"type":"resource_link","uri":"ui://app/main.html","name":"n"},{"type":"resource","resource":{"uri":"ui://app/main.html","text":"ui://app/main.html"}},{"type":"resource_link","uri":"ui://nobody","name":"n"},{"type":"resource_link","uri":"x://app/main.html","name":"n"}],"_meta":{"ui":{"resourceUri" : "ui://app/main.html"},"n":123456789012345678901234567890}}"#;
    for owner in ["a", "b"] {
        let called = session
            .tool(
                &format!("{owner}__raw"),
                &raw(&result.replace("nobody", owner)),
            )
            .await;
        let (result, wanted) = (&called["result"], format!("ui://{owner}__app/main.html"));
        assert_eq!(result["content"][0]["uri"], wanted, "{called}");
        assert_eq!(result["content"][1]["resource"]["uri"], wanted);
        assert_eq!(result["content"][1]["resource"]["text"], SAME);
        assert_eq!(result["content"][2]["uri"], format!("ui://{owner}"));
        assert_eq!(result["content"][3]["uri"], "x://app/main.html");
        assert_eq!(result["_meta"]["ui"]["resourceUri"], wanted);
    }
}

#[tokio::test]
async fn addresses_that_only_results_carry_are_told_apart() {
    let servers = [server("a"), server("b"), server("c")];
    let stage = Stage::new(("legacy", Over::Pipe), &servers).await;
    let session = stage.gateway.session().await;
    session.tools().await;
    let value = r#"{"content":[{"type":"resource_link","uri":"ui://late","name":"n"}]}"#;
    let mut seen = Vec::new();
    for owner in ["b", "c", "b"] {
        let called = session.tool(&format!("{owner}__raw"), &raw(value)).await;
        let uri = called["result"]["content"][0]["uri"].as_str().unwrap();
        seen.push((owner, uri.to_owned()));
    }
    assert_eq!(seen[0].1, "ui://late");
    for (owner, uri) in seen {
        let read = session.request("resources/read", &of(&uri)).await;
        assert_eq!(text(&read), owner, "{uri}: {read}");
        assert_eq!(read["result"]["contents"][0]["uri"], *uri);
    }
}

#[tokio::test]
async fn addresses_without_a_second_server_are_unchanged() {
    let [a, b, c] = three();
    for servers in [
        vec![a.clone()],
        vec![a, c],
        vec![b, server("d").declares(NO_RESOURCES)],
    ] {
        let stage = Stage::new(("legacy", Over::Pipe), &servers).await;
        let session = stage.gateway.session().await;
        let tools = session.request("tools/list", "{}").await.to_string();
        assert!(tools.contains("ui://app/main.html"), "{tools}");
        assert!(!tools.contains("__app"), "{tools}");
        let read = session.request("resources/read", &of(SAME)).await;
        assert_eq!(read["result"]["contents"][0]["uri"], SAME, "{read}");
    }
}

#[tokio::test]
async fn address_that_a_client_remembers_is_restored_after_the_second_server_is_gone() {
    let [a, b, _] = three();
    for rest in [vec![0], vec![0, 2]] {
        let all = [a.clone(), b.clone(), server("d").declares(NO_RESOURCES)];
        let stage = Stage::new(("legacy", Over::Pipe), &all).await;
        let session = stage.gateway.session().await;
        session.tools().await;
        session.request("resources/list", "{}").await;
        let kept = rest.iter().map(|at: &usize| stage.specs[*at].clone());
        stage.gateway.apply(kept.collect());
        let uri = "ui://a__app/main.html";
        let read = session.request("resources/read", &of(uri)).await;
        assert_eq!(text(&read), "a", "{read}");
        assert_eq!(read["result"]["contents"][0]["uri"], uri, "{read}");
    }
}

#[tokio::test]
async fn subscription_and_updates_use_the_address_that_clients_see() {
    for kind in KINDS {
        let stage = Stage::new(kind, &three()).await;
        let session = stage.gateway.session().await;
        session.tools().await;
        let uri = "ui://b__app/main.html";
        let wants = format!(r#"{{"notifications":{{"resourceSubscriptions":["{uri}"]}}}}"#);
        let client = stage.gateway.client("bob");
        let mut modern = client.modern_raw("1", "subscriptions/listen", &wants).await;
        let granted = modern.event().await.unwrap().json();
        let granted = &granted["params"]["notifications"]["resourceSubscriptions"];
        assert_eq!(*granted, serde_json::json!([uri]), "{kind:?}");
        let mut legacy = session.listen(None).await;
        let done = session.request("resources/subscribe", &of(uri)).await;
        assert_eq!(done["result"], serde_json::json!({}), "{kind:?} {done}");
        session
            .tool("b__update", &format!(r#"{{"text":"{SAME}"}}"#))
            .await;
        for stream in [&mut legacy, &mut modern] {
            loop {
                let event = stream.event().await.unwrap().json();
                if event["method"] == "notifications/resources/updated" {
                    assert_eq!(event["params"]["uri"], uri, "{kind:?} {event}");
                    break;
                }
            }
        }
        let done = session.request("resources/unsubscribe", &of(uri)).await;
        assert_eq!(done["result"], serde_json::json!({}), "{kind:?} {done}");
    }
}

#[tokio::test]
async fn templates_of_user_interfaces_are_told_apart() {
    let servers = [
        server("a").template("ui://t/{id}"),
        server("b").template("ui://t/{id}"),
    ];
    let stage = Stage::new(("legacy", Over::Pipe), &servers).await;
    let session = stage.gateway.session().await;
    let listed = session.request("resources/templates/list", "{}").await;
    let templates = listed["result"]["resourceTemplates"].as_array().unwrap();
    let templates: Vec<_> = templates.iter().map(|one| &one["uriTemplate"]).collect();
    assert_eq!(templates, ["ui://a__t/{id}", "ui://b__t/{id}"]);
    for owner in ["b", "a"] {
        let uri = format!("ui://{owner}__t/7");
        let read = session.request("resources/read", &of(&uri)).await;
        assert_eq!(text(&read), owner, "{read}");
        assert_eq!(read["result"]["contents"][0]["uri"], uri);
        let params = format!(
            r#"{{"ref":{{"type":"ref/resource","uri":"ui://{owner}__t/{{id}}"}},"argument":{{"name":"id","value":""}}}}"#
        );
        let done = session.request("completion/complete", &params).await;
        assert_eq!(done["result"]["completion"]["values"][0], owner, "{done}");
    }
}
