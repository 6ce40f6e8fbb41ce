//! No `Debug`, `Display`, problem or notice contains a secret.

use super::{load_as, options};
use crate::config::{File, LoadOptions, ServerEntry, Typed, load_texts};

const CANARY: &str = "canary";

#[test]
fn loaded_settings_redact_secrets() {
    let own = r#"
servers:
  a:
    command: [sh, "--token=${TOKEN}"]
    env: {T: "${TOKEN}", D: "${NONE:-canary-default}"}
    credentials: [{name: t, env: X, value: canary-literal}]
  b:
    url: "https://example.com/${TOKEN}?key=canary-query"
    headers: {Authorization: "Bearer ${TOKEN}"}
"#;
    let foreign = r#"{"mcpServers": {"c": {"command": "sh", "env": {"T": "canary-env"}},
        "d": {"url": "http://h/", "headers": {"X-Key": "canary-header"}}}}"#;
    let loaded = load_as(&[("a.yaml", own), ("mcp.json", foreign)]).unwrap();
    let shown = format!("{loaded:?} {loaded:#?} {:?}", options());
    assert!(!shown.contains(CANARY), "{shown}");
    for server in &loaded.settings.servers {
        let shown = format!("{server:?}");
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

#[test]
fn reported_problems_redact_secrets() {
    let own = r#"
servers:
  a:
    command: [sh]
    env: {T: [canary-list], "B": {canary: x}}
    timeout: canary-time
    max_calls_in_flight: canary-count
    credentials: [{name: t, env: X, value: {a: canary-value}}, canary-text, {name: "", env: X, value: canary}]
  b:
    url: "${TOKEN}"
    headers: {A: "${TOKEN}\n"}
    egress: [canary]
  c: canary
  d: {command: "/${TOKEN}/x", cwd: "${TOKEN}", type: canary}
listen: canary
metrics_listen: "${TOKEN}"
allowed_origins: ["${TOKEN}"]
"#;
    let foreign = r#"{"mcpServers": {"c": {"command": "sh", "env": {"T": ["canary-env"]}},
        "d": {"url": "canary", "headers": {"X-Key": "canary\u0001"}, "type": "canary"}, "e": "canary"}}"#;
    let syntax = "servers: {a: {env: {T: *canary-alias}}}";
    let tab = "servers:\n\ta: canary\n";
    let problems = load_as(&[
        ("a.yaml", own),
        ("mcp.json", foreign),
        ("s.yaml", syntax),
        ("t.yaml", tab),
    ])
    .unwrap_err();
    let shown = format!("{problems} {problems:?}");
    let shown = shown.replace("env.B.canary", "");
    assert!(problems.problems.len() > 15, "{problems}");
    assert!(!shown.contains(CANARY), "{shown}");
    let error = crate::Error::from(problems);
    assert!(
        !format!("{error:?} {error}")
            .replace("env.B.canary", "")
            .contains(CANARY)
    );
}

#[test]
fn typed_values_are_redacted() {
    let entry = ServerEntry {
        env: Some([("T".to_owned(), Typed::from("canary"))].into()),
        ..ServerEntry::default()
    };
    let file = File {
        state_dir: Some("canary".into()),
        ..File::default()
    };
    assert!(!format!("{entry:?} {file:?}").contains(CANARY));
    let mut options: LoadOptions = options();
    options
        .variables
        .inputs
        .insert("id".into(), "canary".into());
    assert!(!format!("{options:?}").contains(CANARY));
    let texts = [(
        "mcp.json".into(),
        "{\"mcpServers\": {\"a\": {\"command\": \"sh\", \"args\": [\"${input:id}\"]}}}".into(),
    )];
    assert!(!format!("{:?}", load_texts(&texts, &options)).contains(CANARY));
}
