//! Instances that a caller leaves behind after a change: what belongs to them ends, without a message of the caller.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use mcp_orchestrator_core::credential::{
    Credential, CredentialChange, CredentialRequest, CredentialResolver, CredentialRule,
    InstalledResolver, Owner,
};
use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::router::ToolFilter;
use mcp_orchestrator_core::runtime::Scope;
use mcp_orchestrator_core::server::Isolation;
use mcp_orchestrator_core::{ErrorKind, Result};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::authority::mind::ReceivedMessage;
use crate::authority::site::{
    Session, Site, drain, entry, gateway, next, server, server_id, team, user,
};
use crate::authority::wait::until;

/// Creates a gateway of Ann and Bob. If `slots`, its server has a credential of Bob's team.
async fn site(isolation: Isolation, slots: bool) -> Site {
    let site = Site::new(vec![server("x", isolation, slots)], Limits::default()).await;
    let rule = match slots {
        true => CredentialRule::Resolve,
        false => CredentialRule::None,
    };
    let all = entry("x", rule, ToolFilter::All);
    site.gateways([gateway("g", &["ann", "bob"], &[], vec![all])]);
    site.teams(&[("ops", &["bob"])]);
    if slots {
        site.install("x", &Owner::Team(team("ops")), "r1").await;
    }
    site
}

async fn make(session: &Session<'_>, id: u64) -> String {
    let params = json!({ "name": "x__task", "arguments": {}, "task": {} });
    let answer = session.request(id, "tools/call", &params).await.unwrap();
    let made = answer["result"]["task"]["taskId"].as_str();
    made.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn unknown(session: &Session<'_>, task: &str) {
    let params = json!({ "taskId": task });
    let refused = session.request(70, "tasks/get", &params).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidParams);
    assert!(refused.to_string().contains("unknown task"), "{refused}");
}

/// Returns `true` if the server got a refusal of this request.
fn is_refused(got: &[ReceivedMessage], id: &str) -> bool {
    let mut got = got.iter();
    got.any(|got| got.message["id"] == id && !got.message["error"].is_null())
}

#[tokio::test]
async fn task_in_the_own_child_of_a_session_is_unknown_to_another_session() {
    let site = site(Isolation::Session, false).await;
    let first = site.session("ann", "g").await.unwrap();
    let second = site.session("ann", "g").await.unwrap();
    let task = make(&first, 1).await;
    let params = json!({ "taskId": task });
    first.request(2, "tasks/get", &params).await.unwrap();
    unknown(&second, &task).await;
    make(&second, 3).await;
    unknown(&second, &task).await;
    assert_eq!(site.mind.got_of("tasks/get").len(), 1);
}

#[tokio::test]
async fn task_of_a_stopped_instance_is_unknown_once_its_server_is_hidden() {
    let site = site(Isolation::Shared, false).await;
    let ann = site.session("ann", "g").await.unwrap();
    let task = make(&ann, 1).await;
    site.orchestrator.stop(&server_id("x")).await.unwrap();
    let params = json!({ "taskId": task });
    let gone = ann.request(2, "tasks/get", &params).await.unwrap();
    assert_eq!(gone["result"]["status"], "failed", "{gone}");
    site.gateways([gateway("g", &["ann", "bob"], &[], Vec::new())]);
    unknown(&ann, &task).await;
}

#[tokio::test]
async fn open_request_of_an_instance_is_refused_when_its_client_loses_it() {
    let site = site(Isolation::Session, true).await;
    let bob = site.session("bob", "g").await.unwrap();
    let ask = json!({ "name": "x__ask", "arguments": {} });
    let mut call = bob.begin(1, "tools/call", &ask).await.unwrap();
    next(&mut call).await.unwrap();
    site.teams(&[("ops", &[])]);
    site.mind
        .until("the refusal", |got| is_refused(got, "q"))
        .await;
}

#[tokio::test]
async fn former_instance_notifies_no_caller_that_uses_another_one_now() {
    let site = site(Isolation::Principal, true).await;
    let bob = site.session("bob", "g").await.unwrap();
    let mut stream = bob.listen().await.unwrap();
    let task = make(&bob, 1).await;
    let ask = json!({ "name": "x__ask", "arguments": {} });
    let mut call = bob.begin(2, "tools/call", &ask).await.unwrap();
    next(&mut call).await.unwrap();
    let [former] = &site.mind.running()[..] else {
        panic!("one instance runs");
    };
    let status = |mark: &str| {
        let params = json!({ "taskId": "job-1", "status": "working", "mark": mark });
        json!({ "jsonrpc": "2.0", "method": "notifications/tasks/status", "params": params })
    };
    site.mind.say(former, &status("before"));
    let told = loop {
        let message = next(&mut stream).await.unwrap();
        if message["method"] == "notifications/tasks/status" {
            break message;
        }
    };
    assert_eq!(told["params"]["taskId"], task.as_str());
    // Bob's calls go to an instance with Bob's own credential from now on.
    site.install("x", &Owner::User(user("bob")), "r1").await;
    site.mind
        .until("the refusal", |got| is_refused(got, "q"))
        .await;
    let lists = |got: &[ReceivedMessage]| {
        let of_former = got.iter().filter(|got| got.key == *former);
        of_former.filter(|got| got.method() == "tools/list").count()
    };
    let before = lists(&site.mind.got());
    site.mind.say(former, &status("after"));
    // Handled after the notification: the list is fetched again.
    let changed = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
    site.mind.say(former, &changed);
    site.mind.until("the list", |got| lists(got) > before).await;
    let heard = drain(&mut stream);
    let is_after = |message: &Value| message["params"]["mark"] == "after";
    assert!(!heard.iter().any(is_after), "{heard:?}");
}

#[tokio::test]
async fn subscription_moves_to_the_instance_that_a_new_isolation_selects() {
    let site = site(Isolation::Shared, false).await;
    let ann = site.session("ann", "g").await.unwrap();
    ann.request(1, "tools/list", &json!({})).await.unwrap();
    let uri = json!({ "uri": "mem://x/a" });
    ann.request(2, "resources/subscribe", &uri).await.unwrap();
    let new = server("x", Isolation::Principal, false);
    site.orchestrator.apply([Arc::new(new)]);
    let echo = json!({ "name": "x__echo", "arguments": {} });
    ann.request(3, "tools/call", &echo).await.unwrap();
    until("the subscription at the own instance", || {
        let at = site.mind.subscribed_at();
        at.iter()
            .any(|(key, _)| *key.scope() == Scope::Principal(user("ann")))
    })
    .await;
}

/// A resolver that leaves requests for some servers waiting.
#[derive(Debug)]
struct Gated {
    installed: Arc<InstalledResolver>,
    closed: Mutex<BTreeSet<ServerId>>,
    waiting: Mutex<Vec<ServerId>>,
    news: Notify,
}

impl Gated {
    fn close(&self, server: &str) {
        self.closed.lock().insert(server_id(server));
    }

    fn open(&self, server: &str) {
        self.closed.lock().remove(&server_id(server));
        self.news.notify_waiters();
    }

    fn waits(&self, server: &str) -> bool {
        self.waiting.lock().contains(&server_id(server))
    }
}

#[async_trait]
impl CredentialResolver for Gated {
    async fn resolve(&self, request: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        loop {
            let news = self.news.notified();
            if !self.closed.lock().contains(&request.server.id) {
                return self.installed.resolve(request).await;
            }
            self.waiting.lock().push(request.server.id.clone());
            news.await;
        }
    }

    fn changes(&self) -> BoxStream<'static, CredentialChange> {
        self.installed.changes()
    }
}

#[tokio::test]
async fn credential_that_took_long_to_resolve_gives_no_right_that_was_lost_meanwhile() {
    let servers = ["x", "y"].map(|name| server(name, Isolation::Session, true));
    let mut gate = None;
    let site = Site::resolved_by(servers.into(), Limits::default(), |installed| {
        let gated = Arc::new(Gated {
            installed,
            closed: Mutex::default(),
            waiting: Mutex::default(),
            news: Notify::new(),
        });
        gate = Some(Arc::clone(&gated));
        gated
    })
    .await;
    let gate = gate.unwrap();
    let shown = |names: &[&str]| {
        let all = |name: &&str| entry(name, CredentialRule::Resolve, ToolFilter::All);
        gateway("g", &["ann"], &[], names.iter().map(all).collect())
    };
    site.gateways([shown(&["x", "y"])]);
    for name in ["x", "y"] {
        site.install(name, &Owner::User(user("ann")), "r1").await;
    }
    let ann = site.session("ann", "g").await.unwrap();
    // The first instance of the session, so that it is checked first.
    let echo = json!({ "name": "y__echo", "arguments": {} });
    ann.request(1, "tools/call", &echo).await.unwrap();
    let ask = json!({ "name": "x__ask", "arguments": {} });
    let mut call = ann.begin(2, "tools/call", &ask).await.unwrap();
    let question = next(&mut call).await.unwrap();
    let answer =
        json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "accept" } });
    gate.close("x");
    let answering = ann.notify(&answer);
    let losing = async {
        until("the check of the answer", || gate.waits("x")).await;
        gate.close("y");
        site.gateways([shown(&["y"])]);
        until("the check of the session", || gate.waits("y")).await;
        gate.open("x");
    };
    let (answered, ()) = futures_util::future::join(answering, losing).await;
    answered.unwrap();
    gate.open("y");
    site.mind
        .until("the refusal", |got| is_refused(got, "q"))
        .await;
    let got = site.mind.got();
    assert!(
        !got.iter()
            .any(|got| got.message["result"]["action"] == "accept"),
        "{got:?}"
    );
}
