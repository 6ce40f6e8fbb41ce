//! What messages name: a task that a client relates a message to, and an elicitation that a server reports as complete,
//! never lead to another server or another client.

use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::call::Reply;
use mcp_orchestrator_core::credential::CredentialRule;
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::router::ToolFilter;
use mcp_orchestrator_core::runtime::InstanceKey;
use mcp_orchestrator_core::server::Isolation;
use serde_json::{Value, json};

use crate::authority::session::next;
use crate::authority::site::{Session, Site, drain, entry, gateway, server};

const RELATED: &str = "io.modelcontextprotocol/related-task";

async fn two_servers() -> Site {
    let servers = ["x", "y"].map(|name| server(name, Isolation::Session, false));
    let site = Site::new(servers.into(), Limits::default()).await;
    let entries = ["x", "y"].map(|name| entry(name, CredentialRule::None, ToolFilter::All));
    site.gateways([gateway("g", &["ann", "bob"], &[], entries.into())]);
    site
}

/// Makes a task at a server, and returns the id that the client gets.
async fn task(session: &Session<'_>, server: &str, id: u64) -> String {
    let call = json!({ "name": format!("{server}__task"), "arguments": {}, "task": {} });
    let made = session.request(id, "tools/call", &call).await.unwrap();
    let made = made["result"]["task"]["taskId"].as_str();
    made.unwrap().to_owned()
}

#[tokio::test]
async fn request_relates_only_to_a_task_of_its_caller_at_the_same_server() {
    let site = two_servers().await;
    let ann = site.session("ann", "g").await.unwrap();
    let bob = site.session("bob", "g").await.unwrap();
    let (at_x, at_y) = (task(&ann, "x", 1).await, task(&ann, "y", 2).await);
    let of_bob = task(&bob, "x", 1).await;
    let refused = [
        // The server's own ids, and tasks of others.
        json!({ "taskId": "job-1" }),
        json!({ "taskId": "job-3" }),
        json!({ "taskId": at_y }),
        json!({ "taskId": of_bob }),
        // No valid id.
        json!({ "taskId": 1 }),
        json!({}),
        json!("job-1"),
        json!([{ "taskId": "job-1" }]),
        Value::Null,
        // Another reader could take another member for the id.
        json!({ "TaskId": "job-1" }),
    ];
    let methods = [
        ("tools/call", json!({ "name": "x__echo", "arguments": {} })),
        ("resources/read", json!({ "uri": "mem://x/a" })),
        ("tasks/get", json!({ "taskId": at_x })),
        ("tasks/result", json!({ "taskId": at_x })),
    ];
    ann.request(3, "resources/list", &json!({})).await.unwrap();
    let mut number = 10;
    for (method, params) in &methods {
        for related in &refused {
            number += 1;
            let mut params = params.clone();
            params["_meta"] = json!({ RELATED: related });
            let answer = ann.request(number, method, &params).await;
            let error = answer.expect_err(method);
            assert_eq!(error.kind(), ErrorKind::InvalidParams, "{method} {related}");
            assert!(error.to_string().contains("unknown task"), "{error}");
        }
    }
    let related = || {
        site.mind
            .got()
            .into_iter()
            .filter(|got| !got.message["params"]["_meta"][RELATED].is_null())
    };
    assert_eq!(related().count(), 0);
    // Its own task reaches the server under the server's id, and nothing else does.
    for (method, params) in &methods {
        number += 1;
        let mut params = params.clone();
        params["_meta"] = json!({ RELATED: { "TaskId": "job-3", "taskId": at_x }, "more": 1 });
        // Not every method has a result here.
        let _ = ann.request(number, method, &params).await;
    }
    let seen: Vec<_> = related().collect();
    assert_eq!(seen.len(), methods.len(), "{seen:?}");
    for got in seen {
        let meta = &got.message["params"]["_meta"];
        assert_eq!(meta[RELATED], json!({ "taskId": "job-1" }), "{got:?}");
        assert_eq!(meta["more"], 1, "{got:?}");
    }
}

#[tokio::test]
async fn notification_loses_a_related_task_that_its_sender_may_not_name() {
    let site = two_servers().await;
    let ann = site.session("ann", "g").await.unwrap();
    let at_x = task(&ann, "x", 1).await;
    let params = json!({ "name": "x__ask", "arguments": {} });
    let mut call = ann.begin(2, "tools/call", &params).await.unwrap();
    let question = next(&mut call).await.unwrap();
    let token = &question["params"]["_meta"]["progressToken"];
    for (mark, id, own) in [
        ("a", "job-1", Value::Null),
        ("b", &*at_x, json!({ "taskId": "job-1" })),
    ] {
        let params = json!({ "progressToken": token, "progress": 1, "message": mark,
            "_meta": { RELATED: { "taskId": id }, "more": 1 } });
        let message =
            json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
        ann.notify(&message).await.unwrap();
        let is_it = |got: &crate::authority::mind::ReceivedMessage| {
            got.message["params"]["message"] == mark
        };
        site.mind
            .until("the progress", |got| got.iter().any(is_it))
            .await;
        let got = site.mind.got().into_iter().find(is_it).unwrap();
        let meta = &got.message["params"]["_meta"];
        assert_eq!(meta[RELATED], own, "{got:?}");
        assert_eq!(meta["more"], 1, "{got:?}");
    }
}

/// Returns the instance of a server that received the last call.
fn newest(site: &Site, name: &str) -> InstanceKey {
    let mut calls = site.mind.got_of("tools/call");
    calls.retain(|got| got.key.server().as_str() == name);
    calls.pop().unwrap().key
}

fn complete(id: &Value) -> Value {
    let params = json!({ "elicitationId": id });
    json!({ "jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": params })
}

fn last(mark: &str) -> Value {
    let params = json!({ "level": "error", "data": mark });
    json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params })
}

/// Returns the next message that is not about lists.
async fn heard(stream: &mut Reply) -> Value {
    loop {
        let message = next(stream).await.unwrap();
        let method = message["method"].as_str().unwrap_or_default();
        if !method.ends_with("/list_changed") {
            return message;
        }
    }
}

#[tokio::test]
async fn completion_of_an_elicitation_reaches_only_the_client_that_the_server_asked() {
    let site = two_servers().await;
    let able = json!({ "elicitation": { "form": {}, "url": {} } });
    let ann = site.session_with("ann", "g", &able).await.unwrap();
    let bob = site.session_with("bob", "g", &able).await.unwrap();
    let mut streams = [ann.listen().await.unwrap(), bob.listen().await.unwrap()];
    let echo = |name: &str| json!({ "name": format!("{name}__echo"), "arguments": {} });
    bob.request(1, "tools/call", &echo("x")).await.unwrap();
    let of_bob = newest(&site, "x");
    ann.request(1, "tools/call", &echo("y")).await.unwrap();
    let other = newest(&site, "y");
    let params = json!({ "name": "x__ask", "arguments": { "params": {
        "mode": "url", "elicitationId": "e", "url": "https://example.com/", "message": "?" } } });
    let mut call = ann.begin(2, "tools/call", &params).await.unwrap();
    next(&mut call).await.unwrap();
    let asker = newest(&site, "x");
    assert_ne!(asker, of_bob);
    for id in [json!("e"), json!("f"), json!(1), Value::Null] {
        site.mind.say(&other, &complete(&id));
        site.mind.say(&of_bob, &complete(&id));
        if id != "e" {
            site.mind.say(&asker, &complete(&id));
        }
    }
    for key in [&other, &of_bob] {
        site.mind.say(key, &last("others"));
    }
    for stream in &mut streams {
        let message = heard(stream).await;
        assert_eq!(message["params"]["data"], "others", "{message}");
    }
    site.mind.say(&asker, &complete(&json!("e")));
    let message = heard(&mut streams[0]).await;
    assert_eq!(message, complete(&json!("e")));
    let is_completion = |message: &Value| message["method"] == complete(&json!("e"))["method"];
    assert!(!drain(&mut streams[1]).iter().any(is_completion));
}
