//! The command line against a gateway that it runs itself.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::{self, CANARY, Site};

#[test]
fn running_gateway_is_shown_and_called() {
    let site = Site::with_servers();
    let mut up = site.up();

    let rest = site.run(&["ps"]).ok();
    assert!(rest.contains("SERVER") && rest.contains("idle"), "{rest}");

    let sum = site.run(&["call", "math", "add", "--arg", "a=2", "--arg", "b=40"]);
    assert_eq!(sum.ok(), "the sum is 42\n");
    let sum = site.run(&[
        "call",
        "math",
        "add",
        "--json",
        r#"{"a":1,"b":2}"#,
        "-o",
        "json",
    ]);
    assert_eq!(sum.json()["content"][0]["text"], "the sum is 3");
    let sum = site.run_with(&["call", "math", "add", "-"], r#"{"a":3,"b":4}"#);
    assert_eq!(sum.ok(), "the sum is 7\n");

    let all = site.run(&["ps", "--output", "json"]).json();
    let math = all
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["server"] == "math");
    let math = math.unwrap();
    assert_eq!(math["state"], "running", "{math}");
    // Lists that the engine fetches itself do not count.
    assert_eq!(math["served"], 3, "{math}");
    assert!(math["place"]["pid"].is_string(), "{math}");
    up.end();
}

#[test]
fn exit_codes_match_the_outcome() {
    let site = Site::with_servers();
    let none = site.run(&["ps"]);
    assert_eq!(none.code, 3);
    assert!(
        none.err.contains("mcp-orchestrator up --config"),
        "{}",
        none.err
    );
    let _up = site.up();

    let failed = site.run(&["call", "math", "fail"]);
    assert_eq!((failed.code, &*failed.out), (4, "it failed\n"));
    let json = site.run(&["call", "math", "fail", "-o", "json"]);
    let value: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &value["isError"]), (4, &json!(true)));

    let unknown = site.run(&["call", "math", "nothing"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("no such tool"), "{}", unknown.err);
    let unknown = site.run(&["stop", "nobody"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("not configured"), "{}", unknown.err);
    assert_eq!(site.run(&["call", "math", "add", "--json", "[1]"]).code, 2);
    assert_eq!(site.run(&["call", "math", "add", "--arg", "a=x"]).code, 2);
    assert_eq!(site.run(&["nonsense"]).code, 2);

    let empty = tempfile::tempdir().unwrap();
    let lost = support::bare(empty.path(), &["ps"]);
    assert_eq!(lost.code, 2);
    assert!(lost.err.contains("mcp-orchestrator.yaml"), "{}", lost.err);
}

#[test]
fn tools_are_listed_by_server_and_by_gateway() {
    let site = Site::with_servers();
    let _up = site.up();
    let own = site.run(&["tools", "math"]).ok();
    assert!(
        own.contains("add") && own.contains("a b [note]") && own.contains("Adds two"),
        "{own}"
    );
    let own = site.run(&["tools", "math", "-o", "json"]).json();
    assert_eq!(own[0]["name"], "add");
    let shown = site.run(&["tools", "-o", "json"]).json();
    let names: Vec<&str> = shown
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|t| t["name"].as_str())
        .collect();
    assert!(
        names.contains(&"math__add") && names.contains(&"secretive__hash"),
        "{names:?}"
    );
    assert_eq!(site.run(&["tools", "--gateway", "nowhere"]).code, 1);
    let broken = site.run(&["tools", "broken"]);
    assert_eq!(broken.code, 1);
    assert!(broken.err.contains("broken"), "{}", broken.err);
}

#[test]
fn a_server_is_restarted_and_stopped_until_the_next_call() {
    let site = Site::with_servers();
    let _up = site.up();
    assert!(
        site.run(&["restart", "math"])
            .ok()
            .contains("is not running")
    );
    site.run(&["call", "math", "add", "--json", r#"{"a":1,"b":1}"#])
        .ok();
    let before = site.pid("math").unwrap();

    let restarted = site.run(&["restart", "math", "-o", "json"]).json();
    assert_eq!(restarted["instances"].as_array().unwrap().len(), 1);
    site.run(&["call", "math", "add", "--json", r#"{"a":1,"b":1}"#])
        .ok();
    let after = site.pid("math").unwrap();
    assert_ne!(before, after);

    assert!(site.run(&["stop", "math"]).ok().starts_with("stopped"));
    assert_eq!(site.pid("math"), None, "it stays at rest");
    let all = site.run(&["ps", "-o", "json"]).json();
    let mut all = all.as_array().unwrap().iter();
    let math = all.find(|one| one["server"] == "math").unwrap();
    let (state, reason) = (&math["state"], &math["reason"]);
    assert_eq!(
        (state, reason),
        (&json!("resting"), &Value::Null),
        "a stop is no failure"
    );
    site.run(&["call", "math", "add", "--json", r#"{"a":1,"b":1}"#])
        .ok();
    assert!(site.pid("math").is_some());
}

#[test]
fn stopped_eager_server_is_not_restarted() {
    let site = Site::with_servers();
    let script = "    command: [sh, \"";
    site.write(
        &site
            .read()
            .replacen(script, &format!("    start: eager\n{script}"), 1),
    );
    let _up = site.up();
    let begin = SystemTime::now();
    while site.pid("math").is_none() {
        assert!(begin.elapsed().unwrap() < Duration::from_secs(20));
    }
    assert!(site.run(&["stop", "math"]).ok().starts_with("stopped"));
    for _ in 0..5 {
        assert_eq!(site.pid("math"), None);
    }
    site.run(&["call", "math", "add", "--json", r#"{"a":1,"b":1}"#])
        .ok();
    assert!(site.pid("math").is_some());
}

#[test]
fn logs_are_shown_and_followed() {
    let site = Site::with_servers();
    let _up = site.up();
    let early = site.run(&["logs", "math"]);
    assert_eq!(early.code, 1);
    assert!(early.err.contains("has run yet"), "{}", early.err);
    site.run(&["call", "math", "add", "--json", r#"{"a":1,"b":1}"#])
        .ok();

    let mut follow = site.follow(&["logs", "math", "-f", "-o", "json"]);
    let line = follow.until(|line| line.contains("adding"));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["source"], &line["text"]),
        (&json!("stderr"), &json!("adding"))
    );
    site.run(&["call", "math", "add", "--json", r#"{"a":1,"b":1}"#])
        .ok();
    follow.until(|line| line.contains("adding"));
    drop(follow);

    let shown = site.run(&["logs", "math"]).ok();
    assert!(
        shown.contains("stderr") && shown.contains("the server starts"),
        "{shown}"
    );
    assert_eq!(
        site.run(&["logs", "math", "--tail", "1"])
            .ok()
            .lines()
            .count(),
        1
    );
}

#[test]
fn route_is_explained() {
    let site = Site::with_servers();
    let _up = site.up();
    let routed = site.run(&["explain", "math__add"]).ok();
    assert!(
        routed.contains("server math") && routed.contains("isolation"),
        "{routed}"
    );
    let json = site
        .run(&["explain", "secretive__hash", "-o", "json"])
        .json();
    assert_eq!(json["routed"], true);
    let none = site.run(&["explain", "nothing__add", "-o", "json"]);
    assert_eq!(none.code, 1);
    assert_eq!(
        serde_json::from_str::<Value>(&none.out).unwrap()["routed"],
        false
    );
    assert_eq!(site.run(&["explain"]).code, 2);
    assert_eq!(site.run(&["explain", "--gateway", "gone", "x"]).code, 1);
}

#[test]
fn a_call_without_a_gateway_runs_the_server_itself() {
    let site = Site::with_servers();
    let begin = SystemTime::now();
    let sum = site.run(&["call", "math", "add", "--arg", "a=2", "--arg", "b=3"]);
    assert_eq!(sum.ok(), "the sum is 5\n");
    // If shutdown and a task waited for each other, it would take the full limit of ten seconds.
    assert!(begin.elapsed().unwrap() < Duration::from_secs(8));
    assert_eq!(
        site.run(&["call", "secretive", "hash"]).ok(),
        format!("the secret has {} characters\n", CANARY.len())
    );
    assert!(site.run(&["tools", "math"]).ok().contains("add"));
    assert_eq!(site.run(&["call", "math", "fail"]).code, 4);
    let broken = site.run(&["call", "broken", "x"]);
    assert_eq!(broken.code, 1);
    assert!(broken.err.contains("| out of order"), "{}", broken.err);
    let unknown = site.run(&["call", "nobody", "x"]);
    assert!(
        unknown.err.contains("known are: math, secretive, broken"),
        "{}",
        unknown.err
    );
    assert!(!site.dir().join("state/control.sock").exists());
}

#[test]
fn configuration_is_checked_and_reloaded() {
    let site = Site::with_servers();
    let good = site.run(&["check"]);
    assert_eq!(good.code, 0, "{}{}", good.out, good.err);
    assert!(
        good.out.contains("configuration OK (3 servers)")
            && good.out.contains("no gateway is running"),
        "{}",
        good.out
    );
    let _up = site.up();
    assert_eq!(site.run(&["tools", "broken"]).code, 1);
    let reported = site.run(&["check", "-o", "json"]);
    let value: Value = serde_json::from_str(&reported.out).unwrap();
    assert_eq!((reported.code, &value["ok"]), (1, &json!(true)));
    assert_eq!(value["gateway"]["reported"][0]["server"], "broken");

    let text = site.read();
    site.write(&format!("{text}lisen: 1\nlog: {{levle: info}}\n"));
    let wrong = site.run(&["check"]);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.out.contains("lisen") && wrong.out.contains("levle"),
        "{}",
        wrong.out
    );
    let wrong = site.run(&["check", "--output", "json"]);
    let value: Value = serde_json::from_str(&wrong.out).unwrap();
    assert_eq!(value["problems"].as_array().unwrap().len(), 2, "{value}");
    assert!(value["problems"][0]["line"].is_u64());
    assert_eq!(site.run(&["reload"]).code, 2);
    assert_eq!(
        site.run(&["ps"]).code,
        0,
        "a gateway is found although its file is wrong now"
    );

    site.write(&text);
    assert!(site.run(&["reload"]).ok().contains("3 servers"));
}

#[test]
fn servers_are_added_to_the_file() {
    let site = Site::with_servers();
    let added = site.run(&[
        "add",
        "more",
        "--env",
        "A=1",
        "--env",
        "B=${B_TOKEN}",
        "--command",
        "sh",
        "-c",
        "cat",
    ]);
    assert!(added.ok().contains("more"));
    assert!(added.err.contains("B_TOKEN"), "{}", added.err);
    let again = site.run(&["add", "more", "--", "sh"]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("--replace"), "{}", again.err);
    site.run(&["add", "more", "--replace", "--", "sh", "-x"])
        .ok();
    site.run(&[
        "add",
        "far",
        "--url",
        "https://far.example/mcp",
        "--bearer",
        "env:FAR",
    ])
    .ok();
    let wrong = site.run(&["add", "bad", "--url", "no address"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("nothing was written"), "{}", wrong.err);
    assert_eq!(site.run(&["add", "neither"]).code, 2);

    let kept = site.run_with(
        &["add", "kept", "--secret-env", "TOKEN=-", "--", "sh"],
        CANARY,
    );
    assert!(!kept.ok().contains(CANARY));
    let leaked = site.run(&[
        "add",
        "leaky",
        "--secret-env",
        &format!("TOKEN={CANARY}"),
        "--",
        "sh",
    ]);
    assert_eq!(leaked.code, 2);
    assert!(!leaked.err.contains(CANARY), "{}", leaked.err);
    let text = site.read();
    assert!(!text.contains(CANARY), "{text}");
    assert!(
        text.contains("from_env: FAR") && text.contains("from_file:") && text.contains("# mine"),
        "{text}"
    );
    let file = site.dir().join("state/secrets/kept.token");
    assert_eq!(std::fs::read_to_string(file).unwrap(), CANARY);
    let checked = site.run_env(&["check"], &[("B_TOKEN", "b"), ("FAR", "f")]);
    assert_eq!(checked.code, 0, "{}", checked.out);
}

#[test]
fn another_programs_file_is_imported() {
    let site = Site::with_servers();
    let file = site.dir().join("other.json");
    let text = json!({"mcpServers": {"My Git": {"command": "sh", "args": ["-c", "cat"], "env": {"TOKEN": CANARY}}}});
    std::fs::write(&file, text.to_string()).unwrap();
    let imported = site.run(&["import", file.to_str().unwrap()]);
    let out = imported.ok();
    assert!(
        out.contains("my-git") && out.contains("TOKEN") && !out.contains(CANARY),
        "{out}"
    );
    let text = site.read();
    assert!(text.contains("my-git") && !text.contains(CANARY), "{text}");
    assert_eq!(site.run(&["import", file.to_str().unwrap()]).code, 2);
    assert_eq!(site.run(&["import", "/nowhere.json"]).code, 2);

    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(&file, folder.path().join(".mcp.json")).unwrap();
    let made = support::bare(folder.path(), &["import", ".mcp.json"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(folder.path().join("mcp-orchestrator.yaml").exists());
}

#[test]
fn import_previews_programs_and_confirms_risks() {
    let site = Site::with_servers();
    let file = site.dir().join("other.json");
    let args = ["run", "-i", "--privileged", "x\u{1b}[2J"];
    let text = json!({"mcpServers": {
        "Box": {"command": "docker", "args": args, "env": {"LD_PRELOAD": CANARY}},
        "ok": {"command": "npx", "args": ["-y", "a b"], "env": {"K": CANARY}},
    }});
    std::fs::write(&file, text.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let before = site.read();
    let refused = site.run(&["import", file]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    for said in [
        "--privileged",
        "LD_PRELOAD",
        "nothing was written",
        "--yes",
        "runs      npx -y 'a b'",
    ] {
        assert!(refused.err.contains(said), "{said}: {}", refused.err);
    }
    assert!(
        !refused.err.contains(CANARY) && !refused.err.contains('\u{1b}'),
        "{}",
        refused.err
    );
    assert_eq!(site.read(), before);
    let one = site
        .run(&["import", file, "--server", "ok", "--name", "mine"])
        .ok();
    assert!(one.contains("added mine to"), "{one}");
    assert!(
        site.run(&["import", file, "--yes"])
            .ok()
            .contains("added box, ok to")
    );
    assert!(site.read().contains("--privileged"));
}

#[test]
fn every_client_file_gets_the_gateway_url() {
    let site = Site::with_servers();
    let none = site.run(&["connect", "cursor"]);
    assert_eq!(
        none.code, 3,
        "port 0 is known by a running gateway alone: {}",
        none.err
    );
    let up = site.up();
    let url = format!("{}/mcp", up.address());
    let clients = support::bare(site.dir(), &["connect", "-o", "json"]).json();
    let clients = clients.as_array().unwrap();
    assert!(clients.len() >= 20, "{clients:?}");
    for client in clients {
        let client = client["client"].as_str().unwrap();
        let shown = site.run(&["connect", client]).ok();
        assert!(shown.contains(&url), "{client}: {shown}");
        let file = site.dir().join(format!("{client}.plain"));
        let file = file.to_str().unwrap();
        site.run(&["connect", client, "--write", "--file", file])
            .ok();
        let written = std::fs::read_to_string(file).unwrap();
        assert!(
            written.contains(&url) && !written.contains("TOKEN"),
            "{client}: {written}"
        );
    }
    let home = site.dir().join("home/.cursor/mcp.json");
    assert!(
        site.run(&["connect", "cursor", "--write"])
            .ok()
            .starts_with("created")
    );
    let value: Value = serde_json::from_str(&std::fs::read_to_string(&home).unwrap()).unwrap();
    assert_eq!(value["mcpServers"]["mcp-orchestrator"]["url"], *url);
    assert!(
        site.run(&["connect", "cursor", "--write"])
            .ok()
            .contains("already")
    );
    let removed = support::bare(site.dir(), &["disconnect", "cursor"]);
    assert!(removed.ok().starts_with("removed mcp-orchestrator from"));
    let value: Value = serde_json::from_str(&std::fs::read_to_string(&home).unwrap()).unwrap();
    assert_eq!(value["mcpServers"], json!({}));
    let none = support::bare(site.dir(), &["disconnect", "cursor"]);
    assert!(
        none.err.contains("has no server mcp-orchestrator"),
        "{none:?}"
    );
}

#[test]
fn clients_that_are_installed_are_found() {
    let site = Site::with_servers();
    let _up = site.up();
    let state = |client: &str| {
        let all = support::bare(site.dir(), &["connect", "-o", "json"]).json();
        let mut all = all.as_array().unwrap().clone().into_iter();
        let found = all.find(|one| one["client"] == client).unwrap();
        found["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("kiro"), "-");
    std::fs::create_dir_all(site.dir().join("home/.kiro/settings")).unwrap();
    assert_eq!(state("kiro"), "installed");
    site.run(&["connect", "kiro", "--write"]).ok();
    assert_eq!(state("kiro"), "connected");
    // The home directory itself says nothing about clients with a file in it.
    for client in ["claude-code", "visual-studio", "continue", "goose"] {
        assert_eq!(state(client), "-", "{client}");
    }
    for folder in [".claude", ".continue", ".config/goose"] {
        std::fs::create_dir_all(site.dir().join("home").join(folder)).unwrap();
    }
    for client in ["claude-code", "continue", "goose"] {
        assert_eq!(state(client), "installed", "{client}");
    }
    let table = support::bare(site.dir(), &["connect"]);
    assert!(table.ok().starts_with("CLIENT"), "{table:?}");
    assert_eq!(support::bare(site.dir(), &["connect", "--write"]).code, 2);
}

#[test]
fn connected_client_reads_its_token_from_a_variable() {
    let site = Site::with_servers();
    let text = site.read();
    site.write(&format!("auth: {{tokens: true}}\n{text}"));
    let _up = site.up();
    for (client, written) in [
        ("claude-code", "Bearer ${MCP_ORCHESTRATOR_TOKEN}"),
        ("cursor", "Bearer ${env:MCP_ORCHESTRATOR_TOKEN}"),
        ("vscode", "Bearer ${env:MCP_ORCHESTRATOR_TOKEN}"),
        ("windsurf", "Bearer ${env:MCP_ORCHESTRATOR_TOKEN}"),
        ("gemini", "Bearer $MCP_ORCHESTRATOR_TOKEN"),
        ("codex", "bearer_token_env_var = \"MCP_ORCHESTRATOR_TOKEN\""),
        ("opencode", "Bearer {env:MCP_ORCHESTRATOR_TOKEN}"),
        (
            "claude-desktop",
            "Authorization:Bearer ${MCP_ORCHESTRATOR_TOKEN}",
        ),
        ("zed", "Bearer PUT-THE-TOKEN-HERE"),
        ("amazon-q", "Bearer PUT-THE-TOKEN-HERE"),
        ("amp", "Bearer ${MCP_ORCHESTRATOR_TOKEN}"),
        ("antigravity", "Bearer PUT-THE-TOKEN-HERE"),
        ("cline", "Bearer PUT-THE-TOKEN-HERE"),
        ("continue", "Bearer PUT-THE-TOKEN-HERE"),
        ("copilot-cli", "Bearer PUT-THE-TOKEN-HERE"),
        ("goose", "Bearer ${MCP_ORCHESTRATOR_TOKEN}"),
        ("crush", "Bearer $MCP_ORCHESTRATOR_TOKEN"),
        ("factory", "Bearer PUT-THE-TOKEN-HERE"),
        ("jetbrains-copilot", "Bearer PUT-THE-TOKEN-HERE"),
        ("kilo", "Bearer {env:MCP_ORCHESTRATOR_TOKEN}"),
        ("kiro", "Bearer ${MCP_ORCHESTRATOR_TOKEN}"),
        ("lm-studio", "Bearer PUT-THE-TOKEN-HERE"),
        ("qwen", "Bearer $MCP_ORCHESTRATOR_TOKEN"),
        ("roo", "Bearer ${env:MCP_ORCHESTRATOR_TOKEN}"),
        ("visual-studio", "Bearer PUT-THE-TOKEN-HERE"),
    ] {
        let file = site.dir().join(format!("{client}.conf"));
        let file = file.to_str().unwrap();
        let done = site.run(&["connect", client, "--write", "--file", file]);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(done.err.contains("token create"), "{done:?}");
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains(written), "{client}: {text}");
        let again = site.run(&["connect", client, "--write", "--file", file]);
        assert!(again.ok().contains("already up to date"), "{client}");
        support::bare(site.dir(), &["disconnect", client, "--file", file]).ok();
        assert!(!std::fs::read_to_string(file).unwrap().contains("TOKEN"));
    }
}

#[test]
fn client_file_keeps_its_other_content() {
    let site = Site::with_servers();
    let up = site.up();
    let url = format!("{}/mcp", up.address());
    let settings = site.dir().join("settings.json");
    let before = "{\n  // mine\n  \"theme\": \"dark\",\n}\n";
    std::fs::write(&settings, before).unwrap();
    let name = settings.to_str().unwrap();
    site.run(&["connect", "zed", "--write", "--file", name])
        .ok();
    let after = std::fs::read_to_string(&settings).unwrap();
    assert!(after.contains("// mine") && after.contains(&url), "{after}");
    assert_eq!(
        std::fs::read_to_string(site.dir().join("settings.json.backup")).unwrap(),
        before
    );

    std::fs::write(&settings, "// nothing else\n").unwrap();
    let refused = site.run(&["connect", "zed", "--write", "--file", name]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("by hand") && refused.err.contains(&url),
        "{}",
        refused.err
    );
    assert_eq!(
        std::fs::read_to_string(&settings).unwrap(),
        "// nothing else\n"
    );

    let own = site.config();
    let own = site.run(&[
        "connect",
        "cursor",
        "--write",
        "--file",
        own.to_str().unwrap(),
    ]);
    assert_eq!(own.code, 2);
}

#[test]
fn a_secret_is_never_shown() {
    let site = Site::with_servers();
    let mut up = site.up();
    let said = site.run(&["call", "secretive", "hash"]).ok();
    assert_eq!(
        said,
        format!("the secret has {} characters\n", CANARY.len())
    );
    let commands: [&[&str]; 8] = [
        &["ps"],
        &["ps", "-o", "json"],
        &["explain", "secretive__hash"],
        &["explain", "secretive__hash", "-o", "json"],
        &["check", "-o", "json"],
        &["tools", "secretive", "-o", "json"],
        &["logs", "secretive"],
        &["call", "secretive", "nothing"],
    ];
    for command in commands {
        let shown = site.run(command);
        assert!(
            !shown.out.contains(CANARY) && !shown.err.contains(CANARY),
            "{command:?}"
        );
    }
    if Path::new("/proc/self/cmdline").exists() {
        let typed = std::fs::read(format!("/proc/{}/cmdline", up.pid())).unwrap();
        assert!(!String::from_utf8_lossy(&typed).contains(CANARY));
    }
    up.end();
    let log = std::fs::read_to_string(site.dir().join("up.log")).unwrap();
    assert!(!log.is_empty() && !log.contains(CANARY));
}

#[test]
fn socket_is_private_and_removed_with_the_gateway() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::with_servers();
    let mut up = site.up();
    let socket = site.dir().join("state/control.sock");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&socket), mode(socket.parent().unwrap())),
        (0o600, 0o700)
    );
    let second = site.run(&["up"]);
    assert_eq!(second.code, 1);
    assert!(second.err.contains("held by process"), "{}", second.err);
    up.end();
    assert!(!socket.exists());
    assert_eq!(site.run(&["ps"]).code, 3);

    // A killed gateway leaves its socket behind; the next one takes it over.
    let mut killed = site.up();
    killed.kill();
    assert!(socket.exists());
    assert_eq!(site.run(&["ps"]).code, 3);
    let _up = site.up();
    assert_eq!(site.run(&["ps"]).code, 0);
}

#[test]
fn long_state_directory_path_moves_the_socket() {
    let mut site = Site::with_servers();
    let long = site.dir().join("x".repeat(120));
    site.state = long.clone();
    let mut up = site.up();
    assert_eq!(site.run(&["ps"]).code, 0);
    assert!(!long.join("control.sock").exists() && long.join("control.path").exists());
    up.end();
    assert_eq!(site.run(&["ps"]).code, 3);
}

#[test]
fn the_schema_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let schema = support::bare(folder.path(), &["schema"]).json();
    assert!(schema["properties"]["servers"].is_object());
}

/// Writes a configuration with two servers that have the same tools, and these keys for the gateway.
fn twins(site: &Site, gateway: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server.sh");
    let server = |name: &str| format!("  {name}:\n    command: [sh, \"{script}\"]\n");
    let text = format!(
        "listen: 127.0.0.1:0\nservers:\n{}{}gateways:\n  default:\n    {gateway}\n",
        server("left"),
        server("right"),
    );
    site.write(&text);
}

#[test]
fn name_conflicts_are_reported_by_check_ps_and_reload() {
    let site = Site::with_servers();
    twins(&site, "tool_names: bare");
    let unknown = site.run(&["check"]);
    assert_eq!(unknown.code, 0, "nothing is known yet: {}", unknown.out);
    let started = site.run(&["check", "--start"]);
    assert_eq!(started.code, 2, "{}{}", started.out, started.err);
    let told = "error: gateway default: tool \"add\" is listed by left and right: left answers";
    assert!(started.out.contains(told), "{}", started.out);
    let kept = site.run(&["check"]);
    assert_eq!(kept.code, 2, "its lists are kept: {}", kept.out);
    assert!(kept.out.contains(told), "{}", kept.out);

    // A gateway runs despite the conflicts, and reports them.
    let _up = site.up();
    assert!(
        site.run(&["ps"])
            .ok()
            .contains("is listed by left and right")
    );
    let checked = site.run(&["check", "-o", "json"]);
    let value: Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!((checked.code, &value["ok"]), (2, &json!(false)));
    assert_eq!(value["conflicts"].as_array().unwrap().len(), 3, "{value}");
    let why = site.run(&["explain", "add"]).ok();
    assert!(why.contains("right lists it too"), "{why}");

    // Prefixed names cause no conflicts. Reverting to bare names that collide is rejected.
    twins(&site, "tool_names: prefixed");
    site.run(&["reload"]).ok();
    let tools = site.run(&["tools"]).ok();
    assert!(
        tools.contains("left__add") && tools.contains("right__add"),
        "{tools}"
    );
    twins(&site, "tool_names: bare");
    let refused = site.run(&["reload"]);
    assert_eq!(refused.code, 2, "{}{}", refused.out, refused.err);
    assert!(
        refused.err.contains("is listed by left and right"),
        "{}",
        refused.err
    );
    assert!(site.run(&["tools"]).ok().contains("left__add"));
}

#[test]
fn reload_reports_a_change_of_the_name_form() {
    let site = Site::with_servers();
    twins(&site, "servers: [left]");
    let _up = site.up();
    assert!(!site.run(&["tools"]).ok().contains("left__"));
    twins(&site, "servers: [left, right]");
    // The gateway may have reloaded the file by itself. Then the log has the message instead of the output.
    let told = site.run(&["reload"]).ok();
    let log = std::fs::read_to_string(site.dir().join("up.log")).unwrap();
    let text = "gateway default has 2 servers now, so names of tools and prompts are prefixed";
    assert!(told.contains(text) || log.contains(text), "{told}{log}");
    assert!(site.run(&["tools"]).ok().contains("right__add"));
}

#[test]
fn the_log_of_a_server_that_did_not_start_is_shown() {
    let site = Site::with_servers();
    let _up = site.up();
    assert_eq!(site.run(&["tools", "broken"]).code, 1);
    let log = site.run(&["logs", "broken"]).ok();
    assert!(log.contains("out of order"), "{log}");
    assert!(log.contains("did not start"), "{log}");
}

/// Starts a gateway that accepts tokens, with one for an admin and one for a user.
fn with_tokens() -> (Site, support::RunningGateway, [String; 2]) {
    let site = Site::with_servers();
    site.write(&format!(
        "{}auth: {{tokens: true, local: true}}\n",
        site.read()
    ));
    let up = site.up();
    let token = |args: &[&str]| {
        let args = [&["token", "create"], args].concat();
        site.run(&args).ok().trim().to_owned()
    };
    let tokens = [
        token(&["--user", "root", "--admin"]),
        token(&["--user", "ann"]),
    ];
    (site, up, tokens)
}

#[test]
fn remote_gateway_applies_the_tokens_rights() {
    let (_site, up, [root, ann]) = with_tokens();
    let url = up.address().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let ask = |token: &str, args: &[&str]| {
        let args = [args, &["--gateway", &url]].concat();
        support::bare_with(folder.path(), &args, &[("MCP_ORCHESTRATOR_TOKEN", token)])
    };
    let all = ask(&root, &["ps", "-o", "json"]).json();
    assert_eq!(all.as_array().unwrap().len(), 3, "{all}");
    assert!(ask(&root, &["token", "list"]).ok().contains("user/ann"));
    let refused = ask(&ann, &["ps"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("ann is not an admin"),
        "{}",
        refused.err
    );
    for args in [
        &["restart", "math"][..],
        &["logs", "math"],
        &["token", "list"],
        &["tools", "math"],
        &["reload"],
        &["explain", "math__add", "--principal", "root"],
    ] {
        let refused = ask(&ann, args);
        assert_eq!(refused.code, 1, "{args:?}: {}", refused.out);
    }
    // She may use what is her own.
    assert!(ask(&ann, &["tools"]).ok().contains("math__add"));
    assert!(
        ask(
            &ann,
            &["call", "math", "add", "--arg", "a=2", "--arg", "b=3"]
        )
        .ok()
        .contains('5')
    );
    ask(&ann, &["explain", "math__add"]).ok();
    ask(&ann, &["catalog"]).ok();
    let status = ask(&ann, &["connect", "cursor"]).ok();
    assert!(status.contains(&format!("{url}/mcp")), "{status}");
}

#[test]
fn remote_gateway_requires_a_token() {
    let (_site, up, [_, ann]) = with_tokens();
    let url = up.address();
    let folder = tempfile::tempdir().unwrap();
    // Other callers are rejected, and a token is never sent to a remote gateway in plain text.
    let wrong = [("MCP_ORCHESTRATOR_TOKEN", "mcpo_wrong")];
    let wrong = support::bare_with(folder.path(), &["tools", "--gateway", url], &wrong);
    assert_eq!(wrong.code, 1, "{}", wrong.err);
    let none = support::bare(folder.path(), &["tools", "--gateway", url]);
    assert_eq!(none.code, 2, "{}", none.err);
    assert!(none.err.contains("MCP_ORCHESTRATOR_TOKEN"), "{}", none.err);
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{ann}\n")).unwrap();
    let named = ["--token-file", file.to_str().unwrap()];
    let args = [&["tools", "--gateway", url][..], &named].concat();
    support::bare(folder.path(), &args).ok();
    let clear = [
        &["tools", "--gateway", "http://mcp.example.com"][..],
        &named,
    ]
    .concat();
    let clear = support::bare(folder.path(), &clear);
    assert_eq!(clear.code, 2);
    assert!(clear.err.contains("https"), "{}", clear.err);
}

#[test]
fn a_server_of_the_registry_is_imported_from_its_address() {
    use std::io::{Read as _, Write as _};
    let site = Site::with_servers();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v0/servers/x", listener.local_addr().unwrap());
    let described = json!({"server": {
        "name": "io.github.example/weather",
        "remotes": [{
            "type": "streamable-http",
            "url": "https://weather.example.com/mcp",
            "headers": [{"name": "X-Key", "isRequired": true, "isSecret": true}],
        }],
    }});
    let body = described.to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).unwrap();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
    });
    let said = site.run(&["import", &url]).ok();
    served.join().unwrap();
    assert!(said.contains("added weather to"), "{said}");
    let text = site.read();
    assert!(
        text.contains("header: X-Key") && text.contains("# mine"),
        "{text}"
    );
    let catalog = site.run(&["import", "http://127.0.0.1:1/x"]);
    assert_eq!(catalog.code, 2);
    assert!(catalog.err.contains("127.0.0.1:1"), "{}", catalog.err);
}
