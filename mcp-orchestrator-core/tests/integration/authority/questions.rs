//! Requests of several servers to one client: numbers and ids that a server chooses never lead to another server.

use mcp_orchestrator_core::call::Reply;
use mcp_orchestrator_core::credential::CredentialRule;
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::router::ToolFilter;
use mcp_orchestrator_core::runtime::InstanceKey;
use mcp_orchestrator_core::server::Isolation;
use serde_json::{Value, json};

use crate::authority::session::next;
use crate::authority::site::{Session, Site, drain, entry, gateway, server};

/// Creates a gateway with two servers, each of which asks the client of a session.
async fn two_servers() -> Site {
    let servers = ["x", "y"].map(|name| server(name, Isolation::Session, false));
    let site = Site::new(servers.into(), Limits::default()).await;
    let entries = ["x", "y"].map(|name| entry(name, CredentialRule::None, ToolFilter::All));
    site.gateways([gateway("g", &["ann", "bob"], &[], entries.into())]);
    site
}

/// Makes a server send a request with these parameters to its client. Returns the call and the request.
async fn ask(session: &Session<'_>, server: &str, id: u64, params: &Value) -> (Reply, Value) {
    let name = format!("{server}__ask");
    let call = json!({ "name": name, "arguments": { "params": params } });
    let mut reply = session.begin(id, "tools/call", &call).await.unwrap();
    let question = next(&mut reply).await.unwrap();
    assert_eq!(question["method"], "elicitation/create", "{question}");
    (reply, question)
}

fn with_token(token: &Value) -> Value {
    json!({ "message": "?", "_meta": { "progressToken": token, "x": [1] } })
}

fn token_of(question: &Value) -> Value {
    question["params"]["_meta"]["progressToken"].clone()
}

async fn progress(session: &Session<'_>, token: &Value, mark: &str) {
    let params = json!({ "progressToken": token, "progress": 1, "message": mark });
    let message = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
    session.notify(&message).await.unwrap();
}

/// Returns the server, the token and the mark of each progress notification, after all earlier messages of a session
/// have been handled.
async fn heard(site: &Site, session: &Session<'_>, mark: u64) -> Vec<(String, Value, String)> {
    for name in ["x", "y"] {
        let call = json!({ "name": format!("{name}__echo"), "arguments": { "mark": mark } });
        session.request(mark, "tools/call", &call).await.unwrap();
    }
    let got = site.mind.got_of("notifications/progress");
    let one = |got: &crate::authority::mind::ReceivedMessage| {
        let params = &got.message["params"];
        let mark = params["message"].as_str().unwrap_or_default().to_owned();
        (
            got.key.server().to_string(),
            params["progressToken"].clone(),
            mark,
        )
    };
    got.iter().map(one).collect()
}

async fn answer(session: &Session<'_>, question: &Value, result: &Value) {
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": result });
    session.notify(&answer).await.unwrap();
}

#[tokio::test]
async fn progress_goes_to_the_server_that_asked_though_another_uses_the_same_token() {
    for (of_x, of_y) in [
        (json!("p"), json!("p")),
        (json!(1), json!(1)),
        (json!(2), json!(1)),
        (json!("1"), json!(1)),
        (json!("2"), json!("1")),
        (json!("ü\"\\"), json!("ü\"\\")),
        (json!(1.5), json!(-7)),
    ] {
        let site = two_servers().await;
        let ann = site.session("ann", "g").await.unwrap();
        let (_first, at_x) = ask(&ann, "x", 1, &with_token(&of_x)).await;
        let (_second, at_y) = ask(&ann, "y", 2, &with_token(&of_y)).await;
        assert_ne!(token_of(&at_x), token_of(&at_y));
        assert_eq!(at_y["params"]["_meta"]["x"], json!([1]));
        progress(&ann, &token_of(&at_y), "for y").await;
        progress(&ann, &token_of(&at_x), "for x").await;
        // Some clients return a number as text.
        progress(&ann, &token_of(&at_x).to_string().into(), "also for x").await;
        let heard = heard(&site, &ann, 9).await;
        let expected = [("y", &of_y), ("x", &of_x), ("x", &of_x)];
        let expected = expected.map(|(name, token)| (name.to_owned(), token.clone()));
        let told: Vec<_> = heard
            .iter()
            .map(|(name, token, _)| (name.clone(), token.clone()))
            .collect();
        assert_eq!(told, expected, "{heard:?}");
    }
}

#[tokio::test]
async fn progress_ends_with_its_request_and_belongs_to_its_session() {
    let site = two_servers().await;
    let ann = site.session("ann", "g").await.unwrap();
    let bob = site.session("bob", "g").await.unwrap();
    bob.request(1, "tools/list", &json!({})).await.unwrap();
    let (_call, question) = ask(&ann, "x", 1, &with_token(&json!("p"))).await;
    let token = token_of(&question);
    progress(&bob, &token, "of bob").await;
    for other in [
        json!("p"),
        json!(0),
        json!(99),
        Value::Null,
        json!({}),
        json!([token]),
    ] {
        progress(&ann, &other, "of nothing").await;
    }
    answer(&ann, &question, &json!({ "action": "decline" })).await;
    progress(&ann, &token, "late").await;
    assert_eq!(heard(&site, &ann, 9).await, []);
    // A request without a token gets no progress.
    let (_call, question) = ask(&ann, "y", 2, &json!({ "message": "?" })).await;
    assert!(question["params"]["_meta"].is_null());
    progress(&ann, &question["id"], "not wanted").await;
    assert_eq!(heard(&site, &ann, 10).await, []);
}

fn instance(site: &Site, name: &str) -> InstanceKey {
    let mut running = site.mind.running().into_iter();
    running.find(|key| key.server().as_str() == name).unwrap()
}

#[tokio::test]
async fn server_cannot_cancel_the_request_of_another() {
    let site = two_servers().await;
    let ann = site.session("ann", "g").await.unwrap();
    let mut stream = ann.listen().await.unwrap();
    let (mut call, question) = ask(&ann, "x", 1, &with_token(&json!("p"))).await;
    let echo = json!({ "name": "y__echo", "arguments": {} });
    ann.request(2, "tools/call", &echo).await.unwrap();
    let y = instance(&site, "y");
    for id in [
        question["id"].clone(),
        question["id"].to_string().into(),
        json!("q"),
        json!(1),
    ] {
        let params = json!({ "requestId": id });
        let message =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
        site.mind.say(&y, &message);
    }
    // A later message of the same server has arrived, so those before it were handled.
    let params = json!({ "level": "error", "data": "last" });
    site.mind.say(
        &y,
        &json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params }),
    );
    loop {
        let message = next(&mut stream).await.unwrap();
        assert_ne!(message["method"], "notifications/cancelled", "{message}");
        if message["params"]["data"] == "last" {
            break;
        }
    }
    assert_eq!(drain(&mut call), Vec::<Value>::new());
    answer(&ann, &question, &json!({ "action": "accept" })).await;
    site.mind
        .until("the answer", |got| {
            let mut got = got.iter();
            got.any(|got| got.message["id"] == "q" && got.message["result"]["action"] == "accept")
        })
        .await;
}

/// Makes an instance send a request about a task of the client, and returns the answer that it gets.
async fn about_task(
    site: &Site,
    key: &InstanceKey,
    id: &str,
    method: &str,
    params: &Value,
) -> Value {
    site.mind.say(
        key,
        &json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }),
    );
    let is_it =
        |got: &crate::authority::mind::ReceivedMessage| got.key == *key && got.message["id"] == id;
    site.mind
        .until("an answer", |got| got.iter().any(is_it))
        .await;
    site.mind.got().into_iter().find(is_it).unwrap().message
}

#[tokio::test]
async fn task_of_a_client_belongs_to_the_server_that_it_was_made_for() {
    let site = two_servers().await;
    let ann = site.session("ann", "g").await.unwrap();
    let mut params = with_token(&json!("p"));
    params["task"] = json!({ "ttl": 1000 });
    let mut calls = Vec::new();
    for (n, name) in [(1, "x"), (2, "y")] {
        let (call, question) = ask(&ann, name, n, &params).await;
        calls.push(call);
        let task = json!({ "taskId": format!("of-{name}"), "status": "working", "ttl": 1000 });
        answer(&ann, &question, &json!({ "task": task })).await;
    }
    let [x, y] = ["x", "y"].map(|name| instance(&site, name));
    for (n, (key, id)) in [(&y, "of-x"), (&x, "of-y"), (&x, "of-nobody")]
        .into_iter()
        .enumerate()
    {
        for method in ["tasks/get", "tasks/result", "tasks/cancel", "tasks/update"] {
            let own = format!("{n} {method}");
            let params = json!({ "taskId": id });
            let answer = about_task(&site, key, &own, method, &params).await;
            assert_eq!(answer["error"]["code"], -32602, "{method} {answer}");
        }
    }
    let all = about_task(&site, &y, "all", "tasks/list", &json!({})).await;
    assert_eq!(all["error"]["code"], -32601, "{all}");
    let none = about_task(&site, &y, "none", "tasks/get", &json!({})).await;
    assert_eq!(none["error"]["code"], -32602, "{none}");
    for call in &mut calls {
        assert_eq!(drain(call), Vec::<Value>::new());
    }
    // Its own task can be asked about.
    let params = json!({ "taskId": "of-x" });
    site.mind.say(
        &x,
        &json!({ "jsonrpc": "2.0", "id": "mine", "method": "tasks/get", "params": params }),
    );
    let asked = next(&mut calls[0]).await.unwrap();
    assert_eq!(asked["method"], "tasks/get");
    assert_eq!(asked["params"]["taskId"], "of-x");
    answer(
        &ann,
        &asked,
        &json!({ "taskId": "of-x", "status": "completed" }),
    )
    .await;
    site.mind
        .until("the state of the task", |got| {
            let mut got = got.iter();
            got.any(|got| {
                got.message["id"] == "mine" && got.message["result"]["status"] == "completed"
            })
        })
        .await;
}

#[tokio::test]
async fn answer_names_a_task_by_the_servers_own_id_and_no_other_task() {
    const RELATED: &str = "io.modelcontextprotocol/related-task";
    let site = two_servers().await;
    let ann = site.session("ann", "g").await.unwrap();
    let mut tasks = Vec::new();
    for (id, name) in [(1, "x"), (2, "y")] {
        let call = json!({ "name": format!("{name}__task"), "arguments": {}, "task": {} });
        let made = ann.request(id, "tools/call", &call).await.unwrap();
        tasks.push(
            made["result"]["task"]["taskId"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    let related = |id: &str| json!({ RELATED: { "taskId": id }, "more": 1 });
    let params = json!({ "message": "?", "_meta": related("job-1") });
    for (n, (id, own)) in [
        (&*tasks[0], json!("job-1")),
        // A task at another server, a forged id, and one that only the server may use.
        (&*tasks[1], Value::Null),
        ("job-2", Value::Null),
        ("job-1", Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let (_call, question) = ask(&ann, "x", 10 + n as u64, &params).await;
        let told = &question["params"]["_meta"][RELATED]["taskId"];
        assert_eq!(*told, tasks[0], "{question}");
        let mark = format!("answer {n}");
        answer(
            &ann,
            &question,
            &json!({ "mark": mark, "_meta": related(id) }),
        )
        .await;
        let is_it =
            |got: &crate::authority::mind::ReceivedMessage| got.message["result"]["mark"] == mark;
        site.mind
            .until("the answer", |got| got.iter().any(is_it))
            .await;
        let got = site.mind.got().into_iter().find(is_it).unwrap();
        let meta = &got.message["result"]["_meta"];
        assert_eq!(meta["more"], 1, "{got:?}");
        assert_eq!(meta[RELATED]["taskId"], own, "{got:?}");
    }
}
