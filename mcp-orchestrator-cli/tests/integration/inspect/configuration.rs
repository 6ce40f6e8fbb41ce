//! `config`: each effective value and its origin.

use serde_json::Value;

use crate::support::{self, CANARY, Site};

fn row<'t>(table: &'t str, key: &str) -> &'t str {
    let fits = |line: &&str| line.split_whitespace().next() == Some(key);
    table
        .lines()
        .find(fits)
        .unwrap_or_else(|| panic!("{key}: {table}"))
}

#[test]
fn every_value_has_its_source() {
    let site = Site::with_servers();
    let text = site.read();
    site.write(&format!("log: {{level: \"${{LOG_LEVEL:-info}}\"}}\n{text}"));
    let shown = site.run(&["config"]).ok();
    for (key, value, source) in [
        (
            "log.level",
            "${LOG_LEVEL:-info}",
            ":1, default of LOG_LEVEL",
        ),
        ("listen", "127.0.0.1:0", ":3"),
        ("servers.math.command", "[sh, ", ":6"),
        (
            "servers.secretive.env.SECRET",
            "${SECRET_VALUE}",
            ", environment SECRET_VALUE",
        ),
        ("servers.math.isolation", "shared", "default"),
        ("max_body_bytes", "16777216", "default"),
        ("state_dir", site.state.to_str().unwrap(), "--state-dir"),
        ("gateways.default.servers", "[math, ", "default"),
    ] {
        let row = row(&shown, key);
        assert!(row.contains(value) && row.ends_with(source), "{row}");
    }
    assert!(!shown.contains(CANARY), "{shown}");
    let shown = site.run(&["config", "servers.math"]).ok();
    assert!(!shown.contains("secretive"), "{shown}");
    let none = site.run(&["config", "servers.mth"]);
    assert_eq!(none.code, 1);
    let json = site.run(&["config", "listen", "-o", "json"]).json();
    assert_eq!(json[0]["source"]["from"], "file");
    assert_eq!(json[0]["source"]["line"], 3);
    let run = site.run_env(
        &["config", "backend"],
        &[("MCP_ORCHESTRATOR_BACKEND", "process")],
    );
    assert!(
        run.ok().contains("environment MCP_ORCHESTRATOR_BACKEND"),
        "{run:?}"
    );
    site.write("lisen: x\n");
    let wrong = site.run(&["config"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.err.contains("did you mean"), "{wrong:?}");
}

#[test]
fn later_file_overrides_an_earlier_one() {
    let site = Site::with_servers();
    let folder = site.dir();
    std::fs::write(folder.join("a.yaml"), "listen: 127.0.0.1:1\nservers:\n  x: {command: [sh, a], timeout: 5s}\n  y: {command: [sh]}\n").unwrap();
    std::fs::write(
        folder.join("b.yaml"),
        "listen: 127.0.0.1:2\nservers:\n  x: {command: [sh, b]}\n",
    )
    .unwrap();
    let shown = support::bare(folder, &["config", "-c", "a.yaml,b.yaml"]).ok();
    assert!(row(&shown, "listen").ends_with("b.yaml:1"), "{shown}");
    assert!(
        row(&shown, "servers.x.command").contains("[sh, b]"),
        "{shown}"
    );
    assert!(
        row(&shown, "servers.x.timeout").ends_with("default"),
        "{shown}"
    );
    assert!(
        row(&shown, "servers.y.command").ends_with("a.yaml:4"),
        "{shown}"
    );
    assert_eq!(shown.matches("servers.x.command").count(), 1);
}

#[test]
fn possible_secrets_are_masked() {
    let site = Site::with_servers();
    let folder = site.dir();
    let own = format!(
        "servers:\n  a:\n    command: [sh, --token, {CANARY}]\n    env: {{API_KEY: {CANARY}, LEVEL: info}}\n  \
         b:\n    url: https://x.example/mcp?api_key={CANARY}\n    headers: {{Authorization: Bearer {CANARY}}}\n    \
         oauth: {{client_id: me, client_secret: {CANARY}, issuer: https://idp.example}}\n"
    );
    std::fs::write(folder.join("own.yaml"), own).unwrap();
    let foreign = serde_json::json!({"mcpServers": {
        "c": {"command": "sh", "args": [format!("--key={CANARY}")], "env": {"HARMLESS": CANARY}},
        "d": {"url": "https://x.example/mcp", "headers": {"X-Anything": CANARY}},
    }});
    std::fs::write(folder.join("their.json"), foreign.to_string()).unwrap();
    for form in ["table", "json"] {
        let shown =
            support::bare(folder, &["config", "-c", "own.yaml,their.json", "-o", form]).ok();
        assert!(!shown.contains(CANARY), "{shown}");
        assert!(
            shown.contains("info") && shown.contains("[hidden]"),
            "{shown}"
        );
        if form == "json" {
            let all: Value = serde_json::from_str(&shown).unwrap();
            let url = all
                .as_array()
                .unwrap()
                .iter()
                .find(|one| one["key"] == "servers.d.url");
            assert_eq!(url.unwrap()["value"], "https://x.example/mcp", "{shown}");
        }
    }
}
