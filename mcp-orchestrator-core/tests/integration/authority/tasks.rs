//! Tasks can be accessed only by the caller that created them, and only while it may use the instance.

use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::credential::{CredentialRule, Owner};
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::router::ToolFilter;
use mcp_orchestrator_core::server::Isolation;
use serde_json::{Value, json};

use crate::authority::site::{Session, Site, drain, entry, gateway, next, server, team};

const RELATED: &str = "io.modelcontextprotocol/related-task";

async fn site(isolation: Isolation, slots: bool) -> Site {
    let site = Site::new(vec![server("x", isolation, slots)], Limits::default()).await;
    let rule = if slots {
        CredentialRule::Resolve
    } else {
        CredentialRule::None
    };
    let all = entry("x", rule, ToolFilter::All);
    site.gateways([gateway("g", &["ann", "bob"], &[], vec![all])]);
    site
}

/// Creates a task and returns the ID that its caller received.
async fn make(session: &Session<'_>, id: u64) -> String {
    let params =
        json!({ "name": "x__task", "arguments": {}, "task": {}, "_meta": { "who": session.name } });
    let answer = session.request(id, "tools/call", &params).await.unwrap();
    let made = answer["result"]["task"]["taskId"].as_str();
    made.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Makes the server return this result.
async fn echo(session: &Session<'_>, id: u64, result: &Value, task: bool) -> Value {
    let mut params = json!({ "name": "x__echo", "arguments": { "result": result } });
    if task {
        params["task"] = json!({});
    }
    session.request(id, "tools/call", &params).await.unwrap()
}

async fn get(session: &Session<'_>, method: &str, task: &str) -> Result<Value, ErrorKind> {
    let params = json!({ "taskId": task });
    let answer = session.request(77, method, &params).await;
    answer.map_err(|error| error.kind())
}

#[tokio::test]
async fn task_is_inaccessible_after_leaving_the_team_of_its_instance() {
    let site = site(Isolation::Shared, true).await;
    site.teams(&[("ops", &["bob"])]);
    site.install("x", &Owner::Team(team("ops")), "r1").await;
    site.install("x", &Owner::Organization, "r1").await;
    let bob = site.session("bob", "g").await.unwrap();
    let task = make(&bob, 1).await;
    let answer = get(&bob, "tasks/get", &task).await.unwrap();
    assert_eq!(answer["result"]["taskId"], task.as_str());
    site.teams(&[("ops", &[])]);
    let before = site.mind.got().len();
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let refused = get(&bob, method, &task).await.unwrap_err();
        assert_eq!(refused, ErrorKind::InvalidParams, "{method}");
    }
    let listed = bob.request(5, "tasks/list", &json!({})).await.unwrap();
    assert_eq!(listed["result"]["tasks"], json!([]));
    let got = site.mind.got();
    let later = got[before..].iter();
    assert!(
        later
            .filter(|got| got.method().starts_with("tasks/"))
            .count()
            == 0
    );
    // A member that returns to the team can access its task again.
    site.teams(&[("ops", &["bob"])]);
    get(&bob, "tasks/get", &task).await.unwrap();
}

#[tokio::test]
async fn task_of_a_rotated_or_removed_credential_is_gone() {
    let site = site(Isolation::Shared, true).await;
    let own = Owner::User(crate::authority::site::user("bob"));
    site.install("x", &own, "r1").await;
    let bob = site.session("bob", "g").await.unwrap();
    let task = make(&bob, 1).await;
    site.install("x", &own, "r2").await;
    let before = site.mind.got_of("tasks/get").len();
    // The task is unknown, or failed with its instance. Either way, no message reaches the instance with the old
    // credential.
    if let Ok(answer) = get(&bob, "tasks/get", &task).await {
        assert_eq!(answer["result"]["status"], "failed", "{answer}");
    }
    assert_eq!(site.mind.got_of("tasks/get").len(), before);
    let another = make(&bob, 2).await;
    get(&bob, "tasks/get", &another).await.unwrap();
    site.uninstall("x", &own).await;
    let before = site.mind.got_of("tasks/get").len();
    let _ = get(&bob, "tasks/get", &another).await;
    assert_eq!(site.mind.got_of("tasks/get").len(), before);
}

#[tokio::test]
async fn repeated_task_id_does_not_become_a_task_of_the_caller() {
    let site = site(Isolation::Shared, false).await;
    let bob = site.session("bob", "g").await.unwrap();
    let ann = site.session("ann", "g").await.unwrap();
    let bobs = make(&bob, 1).await;
    get(&bob, "tasks/get", &bobs).await.unwrap();
    assert_eq!(site.mind.made_for("job-1").as_deref(), Some("bob"));
    for (n, (id, as_task)) in [("job-1", false), ("job-2", false), ("job-1", true)]
        .into_iter()
        .enumerate()
    {
        for result in [
            json!({ "content": [], "_meta": { RELATED: { "taskId": id } } }),
            json!({ "content": [], "taskId": id, "status": "working" }),
            json!({ "content": [], "resultType": "task", "taskId": id }),
        ] {
            let answer = echo(&ann, 10 + n as u64, &result, as_task).await;
            // The ID is not sealed, so it is not one of Ann's task IDs.
            assert!(answer.to_string().contains(id), "{answer}");
        }
        let result = json!({ "task": { "taskId": id, "status": "working" } });
        let answer = echo(&ann, 10, &result, as_task).await;
        assert_eq!(answer["error"].is_null(), !as_task, "{answer}");
        for forged in [id, &answer["result"]["task"]["taskId"].to_string()] {
            get(&ann, "tasks/get", forged).await.unwrap_err();
        }
    }
    // The ID of another caller's task is not valid for her either.
    get(&ann, "tasks/result", &bobs).await.unwrap_err();
    let again = make(&bob, 3).await;
    for task in [&bobs, &again] {
        let answer = get(&bob, "tasks/get", task).await.unwrap();
        assert_eq!(answer["result"]["for"], "bob");
    }
}

#[tokio::test]
async fn task_id_guessed_in_advance_grants_no_access() {
    let site = site(Isolation::Shared, false).await;
    let bob = site.session("bob", "g").await.unwrap();
    let ann = site.session("ann", "g").await.unwrap();
    let guess = json!({ "task": { "taskId": "job-1", "status": "working" } });
    let answer = echo(&ann, 1, &guess, true).await;
    let guessed = answer["result"]["task"]["taskId"]
        .as_str()
        .unwrap()
        .to_owned();
    // The gateway cannot know which of the two owns the ID, so neither gets the task.
    let params =
        json!({ "name": "x__task", "arguments": {}, "task": {}, "_meta": { "who": "bob" } });
    let answer = bob.request(1, "tools/call", &params).await.unwrap();
    assert!(!answer["error"].is_null(), "{answer}");
    get(&ann, "tasks/result", &guessed).await.unwrap_err();
    assert!(site.mind.got_of("tasks/result").is_empty());
    let next = make(&bob, 2).await;
    get(&bob, "tasks/get", &next).await.unwrap();
}

#[tokio::test]
async fn task_id_in_two_spellings_is_rejected() {
    let site = site(Isolation::Shared, false).await;
    let (ann, bob) = (
        site.session("ann", "g").await.unwrap(),
        site.session("bob", "g").await.unwrap(),
    );
    make(&bob, 1).await;
    let own = make(&ann, 1).await;
    for other in ["TaskId", "taskid", "TASKID", "task\\u0049d", "taskId"] {
        let params = format!(r#"{{"taskId":"{own}","{other}":"job-1"}}"#);
        ann.raw(7, "tasks/get", &params).await.unwrap_err();
    }
    assert!(site.mind.got_of("tasks/get").is_empty());
}

#[tokio::test]
async fn task_notifications_go_only_to_the_task_owner() {
    let site = site(Isolation::Shared, false).await;
    let (ann, bob) = (
        site.session("ann", "g").await.unwrap(),
        site.session("bob", "g").await.unwrap(),
    );
    let sealed = make(&bob, 1).await;
    make(&ann, 1).await;
    let wants = json!({ "tasks": true });
    let mut streams = [
        ann.listen().await.unwrap(),
        site.listen("ann", "g", &wants).await.unwrap(),
        bob.listen().await.unwrap(),
        site.listen("bob", "g", &wants).await.unwrap(),
    ];
    let news = json!({ "jsonrpc": "2.0", "method": "notifications/tasks/status",
        "params": { "taskId": "job-1", "status": "working" } });
    site.mind.say(&site.mind.running()[0], &news);
    for stream in &mut streams[2..] {
        let told = loop {
            let message = next(stream).await.unwrap();
            if message["method"] == "notifications/tasks/status" {
                break message;
            }
        };
        assert_eq!(told["params"]["taskId"], sealed.as_str());
    }
    for stream in &mut streams[..2] {
        let heard = drain(stream);
        let none = heard
            .iter()
            .all(|message| message["method"] != "notifications/tasks/status");
        assert!(none, "{heard:?}");
    }
}

#[tokio::test]
async fn task_of_a_call_without_a_receiver_belongs_to_its_caller() {
    for closes in [false, true] {
        let site = site(Isolation::Shared, false).await;
        let (ann, bob) = (
            site.session("ann", "g").await.unwrap(),
            site.session("bob", "g").await.unwrap(),
        );
        site.mind.hold("x");
        let meta = json!({ "who": "bob" });
        let params = json!({ "name": "x__task", "arguments": {}, "task": {}, "_meta": meta });
        let call = bob.begin(1, "tools/call", &params);
        let release = async {
            crate::authority::wait::until("the start", || site.mind.started("x") > 0).await;
            if closes {
                bob.end();
            }
            site.mind.let_go("x");
        };
        let (reply, ()) = tokio::join!(call, release);
        // Its caller does not read the response.
        drop(reply);
        let again = site.session("bob", "g").await.unwrap();
        make(&ann, 1).await;
        for (session, owner) in [(&again, "bob"), (&ann, "ann")] {
            let listed = session.request(5, "tasks/list", &json!({})).await.unwrap();
            for task in listed["result"]["tasks"].as_array().unwrap() {
                assert_eq!(task["for"], owner, "{listed}");
                let id = task["taskId"].as_str().unwrap();
                get(session, "tasks/get", id).await.unwrap();
                let other = if owner == "bob" { &ann } else { &again };
                get(other, "tasks/get", id).await.unwrap_err();
            }
        }
    }
}
