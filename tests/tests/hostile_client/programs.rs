//! The program: system limits, input to its pages and its control endpoint, what they reveal, and its log.

use mcp_orchestrator_tests::scripted::program;
use mcp_orchestrator_tests::wait::until;
use serde_json::{Value, json};

use crate::raw::Raw;
use crate::site::Site;

fn with_tokens(servers: &Value, gateways: &Value) -> Value {
    json!({
        "auth": { "local": false, "tokens": true },
        "servers": servers,
        "gateways": gateways,
    })
}

fn scripted() -> Value {
    json!({ "command": [program("scripted-server")] })
}

#[tokio::test]
async fn idle_connections_do_not_exhaust_file_descriptors() {
    let config = json!({ "servers": { "a": scripted() } });
    let site = Site::with_files(&config, 256).await;
    let session = site.gateway.client().session().await;
    let mut idle = Vec::new();
    for _ in 0..600 {
        idle.push(Raw::with(site.gateway.address, b"GET /h").await);
    }
    assert!(session.tool("echo", "{}").await["result"].is_object());
    let other = site.gateway.client().session().await;
    assert!(other.tool("echo", "{}").await["result"].is_object());
    let refused = site.log().matches("connections cannot be accepted").count();
    assert!(refused <= 3, "{refused} lines");
}

#[tokio::test]
async fn core_dumps_are_disabled_and_the_file_limit_is_raised() {
    let site = Site::new(&json!({ "servers": { "a": scripted() } })).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", site.gateway.pid())).unwrap();
    let of = |name: &str| -> Vec<String> {
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.split_whitespace().take(2).map(str::to_owned).collect()
    };
    assert_eq!(of("Max core file size"), ["0", "0"]);
    let files = of("Max open files");
    assert_eq!(files[0], files[1]);
}

#[tokio::test]
async fn form_size_is_limited_and_forms_without_a_session_are_not_read() {
    let site = Site::new(&with_tokens(
        &json!({ "a": scripted() }),
        &json!({ "default": {} }),
    ))
    .await;
    let address = site.gateway.address;
    let post = |cookie: &str, length: usize| {
        format!(
            "POST /signin HTTP/1.1\r\nhost: {address}\r\norigin: http://{address}\r\n{cookie}\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    // Refused before any part of the body arrives.
    let mut raw = Raw::with(address, post("", 60_000).as_bytes()).await;
    let said = raw.text_to_end("a form of nobody").await;
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
    let shown = "GET /signin HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let page = Raw::with(address, shown.as_bytes())
        .await
        .text_to_end("the page")
        .await;
    let cookie = page
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .unwrap();
    let cookie = format!("cookie: {}\r\n", cookie.split(';').next().unwrap());
    let mut raw = Raw::with(address, post(&cookie, 65_537).as_bytes()).await;
    let said = raw.text_to_end("a long form").await;
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
}

#[tokio::test]
async fn installations_of_hidden_servers_are_not_shown() {
    let server = json!({
        "command": [program("scripted-server")],
        "credentials": [
            { "name": "token", "env": "TOKEN" },
            { "name": "site", "env": "SITE", "plain": true },
        ],
    });
    let gateways = json!({
        "default": { "servers": ["open"] },
        "private": { "members": { "users": ["ann"] }, "servers": ["hidden"] },
    });
    let mut config = with_tokens(&json!({ "open": server, "hidden": server }), &gateways);
    config["teams"] = json!({ "ops": { "members": ["ann", "bob"] } });
    let site = Site::new(&config).await;
    for (server, owner) in [
        ("open", "organization"),
        ("hidden", "organization"),
        ("hidden", "team/ops"),
        ("hidden", "user/ann"),
    ] {
        site.install(
            server,
            owner,
            &[("token", "t"), ("site", "https://internal.example")],
        )
        .await;
    }
    let mut shown = Vec::new();
    for subject in ["user/ann", "user/bob", "team/ops"] {
        let (token, _) = site.token(subject, false).await;
        let client = site
            .gateway
            .client()
            .bearer(&token)
            .at("/control/v1/installations");
        let mut answer = client.send("GET", &[], b"").await;
        let answer = answer.json().await;
        let all = answer["installations"].as_array().unwrap();
        let servers = all.iter().filter(|one| one["server"] == "hidden").count();
        assert_eq!(
            answer.to_string().contains("hidden"),
            servers > 0,
            "{answer}"
        );
        shown.push((all.len(), servers));
    }
    assert_eq!(shown, [(4, 3), (1, 0), (1, 0)]);
}

#[tokio::test]
async fn sign_in_attempts_are_rate_limited() {
    let server = json!({
        "url": "http://127.0.0.1:9/mcp",
        "oauth": { "issuer": "http://127.0.0.1:9" },
    });
    let site = Site::new(&with_tokens(
        &json!({ "a": server }),
        &json!({ "default": {} }),
    ))
    .await;
    let (token, _) = site.token("user/ann", false).await;
    let (other, _) = site.token("user/bob", false).await;
    let begin = |token: &str, port: u32| {
        let client = site
            .gateway
            .client()
            .bearer(token)
            .at("/control/v1/sign-ins");
        let body = json!({
            "server": "a",
            "owner": "me",
            "values": {},
            "redirect_uri": format!("http://127.0.0.1:{port}/callback"),
        });
        async move {
            client
                .send("POST", &[], body.to_string().as_bytes())
                .await
                .status
        }
    };
    let mut refused = 0;
    for port in 0..30 {
        refused += u32::from(begin(&token, port + 1).await == 429);
    }
    assert!(refused >= 10, "{refused} of 30 were refused");
    assert_ne!(begin(&other, 1).await, 429);
}

#[tokio::test]
async fn logged_text_cannot_forge_a_log_line() {
    let site = Site::new(&json!({ "servers": { "a": scripted() } })).await;
    let forged =
        "x\n2026-11-29T22:00:00.000000Z ERROR forged line: root logged in \u{1b}[31mred\u{202e}";
    let mut config = json!({ "servers": { "a": scripted() } });
    config["servers"][forged] = scripted();
    std::fs::write(&site.gateway.config, config.to_string()).unwrap();
    assert!(site.control.reload().await.is_err());
    until("the refusal", || site.log().contains("forged line")).await;
    let log = site.log();
    assert!(
        !log.lines().any(|line| line.starts_with("2026-11-29T22")),
        "{log}"
    );
    assert!(
        !log.contains('\u{1b}') && !log.contains('\u{202e}'),
        "{log}"
    );
}

#[tokio::test]
async fn calls_per_principal_are_limited_unless_disabled() {
    for (limits, refused) in [
        (json!({}), true),
        (json!({ "calls_per_principal": "none" }), false),
    ] {
        let config = json!({ "servers": { "a": scripted() }, "limits": limits });
        let site = Site::new(&config).await;
        let session = site.gateway.client().session().await;
        session.tool("echo", "{}").await;
        let calls = (0..300).map(|id| {
            let session = &session;
            async move {
                session
                    .request_raw(
                        &id.to_string(),
                        "tools/call",
                        r#"{"name":"sleep","arguments":{"n":1500}}"#,
                    )
                    .await
                    .status
            }
        });
        let statuses = futures_util::future::join_all(calls).await;
        assert_eq!(statuses.contains(&429), refused, "{limits}");
    }
}
