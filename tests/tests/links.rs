//! From a call without a credential, through the link in its result, to a call that works: the whole program and its
//! pages.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use std::collections::BTreeMap;

use mcp_orchestrator_gateway::control::Client as Control;
use mcp_orchestrator_gateway::control::wire::credentials::{
    InstallRequest, SecretText, TokenRequest,
};
use mcp_orchestrator_tests::browser::{Browser, ReceivedPage};
use mcp_orchestrator_tests::client::{Client, MODERN, Response, json, modern_body};
use mcp_orchestrator_tests::program::Program;
use mcp_orchestrator_tests::scripted::{Script, Upstream, program};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

const ARGUMENTS: &str = r#"{"name":"TOKEN"}"#;

struct Site {
    _folder: tempfile::TempDir,
    gateway: Program,
    control: Control,
}

/// A user with a token.
struct Person {
    token: String,
    client: Client,
    browser: Browser,
}

fn config(wait: &str) -> Value {
    json!({
        "auth": { "local": false, "tokens": true },
        "auth_wait": wait,
        "teams": { "ops": { "members": ["bob"], "managers": ["mia"] } },
        "servers": { "jira": {
            "command": [program("scripted-server")],
            "credentials": [
                { "name": "token", "env": "TOKEN", "description": "<b>Your</b> token" },
                { "name": "site", "env": "SITE", "plain": true, "default": "a\"b", "required": false },
            ],
        } },
    })
}

impl Site {
    async fn new(wait: &str) -> Self {
        Self::of(&config(wait)).await
    }

    async fn of(config: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let args = ["--listen", "127.0.0.1:0", "--log-level", "trace"];
        let gateway =
            Program::run_in(folder.path(), &args, &[], &folder.path().join("errors")).await;
        let control = Control::of(&folder.path().join("state"));
        Self {
            _folder: folder,
            gateway,
            control,
        }
    }

    async fn person(&self, subject: &str) -> Person {
        let request = TokenRequest {
            subject: subject.into(),
            admin: false,
            gateway: None,
            expires_in: None,
        };
        let made = self.control.make_token(&request).await.unwrap();
        let token = made.token.0.expose_secret().to_owned();
        Person {
            client: self.gateway.client().bearer(&token),
            browser: Browser::new(self.gateway.address),
            token,
        }
    }

    async fn install(&self, owner: &str, value: &str) {
        let request = InstallRequest {
            server: "jira".into(),
            owner: owner.into(),
            values: BTreeMap::from([("token".to_owned(), SecretText(value.into()))]),
            rotate: false,
            unchecked: false,
        };
        self.control.install(&request).await.unwrap();
    }
}

impl Person {
    /// Returns the link in the result of a call without a credential.
    async fn link(&self) -> String {
        let answer = self.client.modern_tool("echo", ARGUMENTS).await;
        let facts = &answer["result"]["structuredContent"];
        assert_eq!(facts["error"], "auth_required", "{answer}");
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        let url = facts["url"].as_str().unwrap();
        assert!(text.contains(url), "{text}");
        assert_eq!(
            answer["result"]["_meta"]["mcp-orchestrator.dev/auth"]["url"],
            url
        );
        url.to_owned()
    }

    /// Signs in at the page that a link opened.
    async fn sign_in(&mut self, link: &str) -> ReceivedPage {
        let asked = self.browser.open(link).await;
        assert_eq!(asked.status, 401, "{}", asked.html);
        assert!(
            !asked.html.contains("jira"),
            "nothing is told to who is not known"
        );
        let (proof, next) = (asked.hidden("form"), asked.hidden("next"));
        let fields = [("form", &*proof), ("next", &next), ("token", &self.token)];
        let signed_in = self.browser.submit("/signin", &fields).await;
        assert_eq!(signed_in.status, 303, "{}", signed_in.html);
        let to = signed_in.header("location").to_owned();
        self.browser.open(&to).await
    }

    async fn works(&self, value: &str) {
        let answer = self.client.modern_tool("env", ARGUMENTS).await;
        assert_eq!(answer["result"]["env"]["TOKEN"], value, "{answer}");
    }
}

#[tokio::test]
async fn link_from_a_failed_call_leads_to_a_working_one() {
    let site = Site::new("45s").await;
    let mut ann = site.person("user/ann").await;
    let link = ann.link().await;
    assert_eq!(
        ann.link().await,
        link,
        "calls do not make links without end"
    );
    let page = ann.sign_in(&link).await;
    assert_eq!(page.status, 200, "{}", page.html);
    assert!(
        page.html.contains("user/ann") && page.html.contains("&lt;b&gt;Your&lt;/b&gt;"),
        "{}",
        page.html
    );
    assert!(page.html.contains("value=\"a&quot;b\""), "{}", page.html);
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(!page.html.contains("<script"), "{}", page.html);
    let wrong = ann.browser.fill(&link, &[("slot.site", "x")]).await;
    assert_eq!(wrong.status, 422, "{}", wrong.html);
    assert!(
        wrong.html.contains("slot token needs a value"),
        "{}",
        wrong.html
    );
    let done = ann.browser.fill(&link, &[("slot.token", "ann-1")]).await;
    assert_eq!(done.status, 200, "{}", done.html);
    assert!(!done.html.contains("ann-1"), "{}", done.html);
    ann.works("ann-1").await;
    // A link can be used once.
    assert_eq!(ann.browser.open(&link).await.status, 404);
}

#[tokio::test]
async fn tool_with_header_parameters_asks_for_the_credential_too() {
    let schema = r#"{"type":"object","properties":{"q":{"type":"string","x-mcp-header":"Q"}}}"#;
    let list = format!(r#""tools":[{{"name":"echo","inputSchema":{schema}}}]"#);
    let script = Script {
        legacy: false,
        modern: true,
        ..Script::default()
    };
    let upstream = Upstream::start(script.answering("tools/list", &list)).await;
    let mut config = config("45s");
    config["servers"]["jira"] = json!({
        "url": format!("http://{}/mcp", upstream.address),
        "credentials": [{ "name": "token", "header": "X-Token" }],
    });
    let site = Site::of(&config).await;
    site.install("user/bob", "bobs").await;
    let bob = site.person("user/bob").await;
    assert_eq!(bob.client.session().await.tools().await, ["echo"]);
    let mut ann = site.person("user/ann").await;
    let link = ann.link().await;
    assert_eq!(ann.sign_in(&link).await.status, 200);
    let done = ann.browser.fill(&link, &[("slot.token", "anns")]).await;
    assert_eq!(done.status, 200, "{}", done.html);
    let session = ann.client.session().await;
    assert_eq!(session.tools().await, ["echo"]);
    let answer = session.tool("echo", r#"{"q":"a"}"#).await;
    assert_eq!(answer["result"]["echo"]["q"], "a", "{answer}");
    let calls = upstream.server.received_of("tools/call");
    let sent = |name: &str| {
        let mut headers = calls[0].headers.iter();
        headers.find(|header| header.0 == name).map(|it| &*it.1)
    };
    assert_eq!(
        (calls.len(), sent("x-token"), sent("mcp-param-q")),
        (1, Some("anns"), Some("a"))
    );
}

#[tokio::test]
async fn link_is_private_to_its_caller_and_its_form_to_its_page() {
    let site = Site::new("45s").await;
    let (mut ann, mut eve) = (site.person("user/ann").await, site.person("user/eve").await);
    let link = ann.link().await;
    let refused = eve.sign_in(&link).await;
    assert_eq!(refused.status, 403, "{}", refused.html);
    assert!(!refused.html.contains("ann"), "{}", refused.html);
    // Eve has her own form and submits it to Ann's link.
    let own = eve.link().await;
    let proof = eve.browser.open(&own).await.hidden("form");
    let fields = [("form", &*proof), ("slot.token", "eves")];
    assert_eq!(eve.browser.submit(&link, &fields).await.status, 403);
    let page = ann.sign_in(&link).await;
    let good = page.hidden("form");
    // Eve's proof, none, and the right one from another origin.
    for (proof, origin) in [
        (&*proof, ""),
        ("", ""),
        (&good, "https://evil.example"),
        (&good, "http://127.0.0.1:1"),
        (&good, "null"),
    ] {
        let mut forged = ann.browser.clone();
        if !origin.is_empty() {
            forged.origin = origin.to_owned();
        }
        let answer = forged
            .submit(&link, &[("form", proof), ("slot.token", "forged")])
            .await;
        assert_eq!(answer.status, 403, "{origin} {}", answer.html);
    }
    let answer = ann.client.modern_tool("env", ARGUMENTS).await;
    assert_eq!(
        answer["result"]["structuredContent"]["error"],
        "auth_required"
    );
    for never in [
        "/link/x",
        "/link/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert_eq!(ann.browser.open(never).await.status, 404, "{never}");
    }
    assert_eq!(
        Browser::new(site.gateway.address).open(&link).await.status,
        401
    );
}

#[tokio::test]
async fn own_credentials_are_installed_tested_and_removed_on_the_pages() {
    let site = Site::new("45s").await;
    let (mut ann, mut mia) = (site.person("user/ann").await, site.person("user/mia").await);
    let page = ann.sign_in("/servers").await;
    assert!(
        page.html.contains("not installed") && !page.html.contains("team/ops"),
        "{}",
        page.html
    );
    let done = ann
        .browser
        .fill("/servers/jira?owner=user%2Fann", &[("slot.token", "ann-1")])
        .await;
    assert!(done.html.contains("jira works"), "{}", done.html);
    ann.works("ann-1").await;
    let proof = done.hidden("form");
    let tested = ann
        .browser
        .submit("/servers/jira/test?owner=me", &[("form", &proof)])
        .await;
    assert!(tested.html.contains("it lists"), "{}", tested.html);
    // A team's credential is set up by its manager only.
    let team = "/servers/jira?owner=team%2Fops";
    let refused = ann
        .browser
        .submit(team, &[("form", &proof), ("slot.token", "x")])
        .await;
    assert!(
        refused.html.contains("only its managers"),
        "{}",
        refused.html
    );
    let page = mia.sign_in("/servers").await;
    assert!(page.html.contains("team/ops"), "{}", page.html);
    let done = mia.browser.fill(team, &[("slot.token", "ops-1")]).await;
    assert!(done.html.contains("jira works"), "{}", done.html);
    let bob = site.person("user/bob").await;
    bob.works("ops-1").await;
    let gone = ann.browser.fill("/servers/jira/remove?owner=me", &[]).await;
    assert!(gone.html.contains("is removed"), "{}", gone.html);
    ann.link().await;
    // Revoking a token ends the sign-in with it.
    let tokens = site.control.tokens().await.unwrap().tokens;
    let own = tokens
        .iter()
        .find(|token| token.subject == "user/ann")
        .unwrap();
    site.control.revoke_token(&own.id).await.unwrap();
    assert_eq!(ann.browser.open("/servers").await.status, 401);
}

/// Returns the stream's next event with this method.
async fn until_method(stream: &mut Response, method: &str) -> Value {
    loop {
        let event = stream.event().await.expect("the stream goes on").json();
        if event["method"] == method {
            return event;
        }
    }
}

#[tokio::test]
async fn call_waits_for_its_credential_and_continues() {
    let site = Site::new("45s").await;
    let ann = site.person("user/ann").await;
    let session = ann
        .client
        .session_with(r#"{"elicitation":{"url":{}}}"#)
        .await;
    let mut stream = session
        .begin_with_token("7", "\"p\"", "env", ARGUMENTS)
        .await;
    let asked = until_method(&mut stream, "elicitation/create").await;
    assert_eq!(asked["params"]["mode"], "url", "{asked}");
    assert!(
        asked["params"]["url"].as_str().unwrap().contains("/link/"),
        "{asked}"
    );
    let told = until_method(&mut stream, "notifications/progress").await;
    assert!(
        told["params"]["message"]
            .as_str()
            .unwrap()
            .contains("waiting"),
        "{told}"
    );
    session
        .notify(&format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"action":"accept"}}}}"#,
            asked["id"]
        ))
        .await;
    site.install("user/ann", "ann-1").await;
    let done = until_method(&mut stream, "notifications/elicitation/complete").await;
    assert_eq!(
        done["params"]["elicitationId"],
        asked["params"]["elicitationId"]
    );
    let answer = json(&stream.message().await);
    assert_eq!(answer["result"]["env"]["TOKEN"], "ann-1", "{answer}");
    assert_eq!(answer["id"], 7);
}

#[tokio::test]
async fn call_is_answered_if_the_client_declines_or_times_out() {
    let site = Site::new("100ms").await;
    let ann = site.person("user/ann").await;
    let able = r#"{"elicitation":{"url":{},"form":{}}}"#;
    let session = ann.client.session_with(able).await;
    let mut late = session.begin("1", "env", ARGUMENTS).await;
    let asked = until_method(&mut late, "elicitation/create").await;
    let answer = json(&late.message().await);
    let facts = &answer["result"]["structuredContent"];
    assert_eq!(facts["error"], "auth_required", "{answer}");
    assert_eq!(facts["url"], asked["params"]["url"], "the link counts on");
    // A client that supports only form elicitation is not asked to open an address.
    let session = ann.client.session_with(r#"{"elicitation":{}}"#).await;
    let answer = session.tool("env", ARGUMENTS).await;
    assert_eq!(
        answer["result"]["structuredContent"]["error"],
        "auth_required"
    );
    let site = Site::new("45s").await;
    let ann = site.person("user/ann").await;
    let session = ann.client.session_with(able).await;
    let mut stream = session.begin("1", "env", ARGUMENTS).await;
    let asked = until_method(&mut stream, "elicitation/create").await;
    session
        .notify(&format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"action":"decline"}}}}"#,
            asked["id"]
        ))
        .await;
    let answer = json(&stream.message().await);
    assert_eq!(
        answer["result"]["structuredContent"]["error"], "auth_required",
        "{answer}"
    );
}

/// Returns the result of a modern call by a client that can open addresses.
async fn able_call(person: &Person, params: &str) -> Value {
    let body = modern_body("1", "tools/call", params, "");
    let (none, able) = (
        r#"clientCapabilities":{}"#,
        r#"clientCapabilities":{"elicitation":{"url":{}}}"#,
    );
    assert!(body.contains(none));
    let body = body.replace(none, able);
    let headers = [
        ("mcp-protocol-version", MODERN),
        ("mcp-method", "tools/call"),
        ("mcp-name", "env"),
    ];
    let mut answer = person.client.send("POST", &headers, body.as_bytes()).await;
    answer.json().await["result"].clone()
}

#[tokio::test]
async fn modern_client_gets_an_input_request_and_retries() {
    let site = Site::new("45s").await;
    let ann = site.person("user/ann").await;
    let first = able_call(&ann, r#"{"name":"env","arguments":{"name":"TOKEN"}}"#).await;
    assert_eq!(first["resultType"], "input_required", "{first}");
    let question = &first["inputRequests"]["connect"];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"]["mode"], "url");
    let again = json!({
        "name": "env", "arguments": { "name": "TOKEN" }, "requestState": first["requestState"],
        "inputResponses": { "connect": { "action": "accept" } },
    });
    let again = again.to_string();
    let too_soon = able_call(&ann, &again).await;
    assert_eq!(
        too_soon["structuredContent"]["error"], "auth_required",
        "it is not asked without end: {too_soon}"
    );
    site.install("user/ann", "ann-1").await;
    let result = able_call(&ann, &again).await;
    assert_eq!(result["env"]["TOKEN"], "ann-1", "{result}");
}
