//! Output of the command line: lists, the effective configuration, server details, completions, help.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod completions;
mod configuration;
mod dead_servers;
mod extensions;
mod unsaid;

use serde_json::json;

use crate::support::{self, CANARY, Site};

const LIBRARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/library.sh");
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server.sh");

fn library() -> Site {
    let site = Site::with_servers();
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  docs: {{command: [sh, {LIBRARY}]}}\n  \
         broken: {{command: [sh, -c, \"echo 'out of order' >&2; exit 3\"]}}\n"
    ));
    site
}

#[test]
fn prompts_and_resources_are_listed_by_server_and_by_gateway() {
    let site = library();
    // First with a server that runs only for the command, then with the running gateway.
    for running in [false, true] {
        let _up = running.then(|| site.up());
        let prompts = site.run(&["prompts", "docs"]).ok();
        assert!(
            prompts.contains("triage  report [tone]  Sorts reports"),
            "{prompts}"
        );
        let resources = site.run(&["resources", "docs"]).ok();
        for part in [
            "docs://readme",
            "text/plain",
            "How to begin",
            "docs://page/{n}",
        ] {
            assert!(resources.contains(part), "{part}: {resources}");
        }
        let json = site.run(&["resources", "docs", "-o", "json"]).json();
        assert_eq!(json["resources"][0]["uri"], "docs://readme");
        assert_eq!(json["templates"][0]["name"], "page");
        let tools = site.run(&["tools", "docs"]);
        assert_eq!((tools.code, tools.err.trim()), (0, "no tools"));
    }
    let _up = site.up();
    let prompts = site.run(&["prompts"]);
    assert!(prompts.out.contains("docs__triage"), "{prompts:?}");
    assert!(
        prompts.err.contains("prompts of broken are missing: "),
        "{prompts:?}"
    );
    let resources = site.run(&["resources", "-o", "json"]).json();
    assert_eq!(resources["resources"][0]["uri"], "docs://readme");
    let said = site.run(&["prompts", "dcs"]);
    assert!(said.err.contains("did you mean docs?"), "{said:?}");
    assert_eq!(site.run(&["resources", "--gateway", "ops"]).code, 1);
}

#[test]
fn empty_list_names_the_failed_server_and_the_reason() {
    let site = Site::with_servers();
    site.write(
        "listen: 127.0.0.1:0\nservers:\n  \
         broken: {command: [sh, -c, \"echo 'out of order' >&2; exit 3\"]}\n  \
         silent: {command: [sleep, '600'], list_timeout: 300ms}\n",
    );
    let _up = site.up();
    let said = site.run(&["tools"]);
    assert_eq!(said.code, 1, "{said:?}");
    for part in [
        "no tools",
        "tools of broken are missing: ",
        "exit status 3",
        "tools of silent are missing: ",
    ] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    let said = site.run(&["tools", "-o", "json"]);
    assert_eq!((said.out.trim(), said.code), ("[]", 1), "{said:?}");
}

#[test]
fn describe_shows_a_servers_program_and_history() {
    let site = Site::with_servers();
    let _up = site.up();
    let described = site.run(&["describe", "math"]).ok();
    for part in [
        "command",
        SERVER,
        "calls",
        "0 (0 in flight)",
        "no instance is running",
    ] {
        assert!(described.contains(part), "{part}: {described}");
    }
    let add = &["call", "math", "add", "-a", "a=1", "-a", "b=2"][..];
    site.run(add).ok();
    site.run(&["restart", "math"]).ok();
    site.run(add).ok();
    let described = site.run(&["describe", "math", "-o", "json"]).json();
    let server = &described["server"];
    assert_eq!(server["restarts"], 1, "{server}");
    assert_eq!(server["tools"], 3, "{server}");
    assert_eq!(server["calls"], 1, "{server}");
    assert_eq!(described["instances"].as_array().unwrap().len(), 1);
    site.run(&["call", "broken", "t"]);
    let described = site.run(&["describe", "broken"]).ok();
    let last = described
        .lines()
        .find(|line| line.starts_with("last error"));
    assert!(last.unwrap().contains("exit status 3"), "{described}");
}

#[test]
fn description_holds_no_secret() {
    let site = Site::with_servers();
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  \
         a: {{command: [sh, {SERVER}, --token, \"{CANARY}\", \"--key=${{SECRET_VALUE}}\"]}}\n  \
         b: {{url: \"http://127.0.0.1:9/mcp?api_key={CANARY}\"}}\n"
    ));
    let _up = site.up();
    site.run(&["tools", "a"]).ok();
    for (server, shown) in [
        ("a", "--token [hidden]"),
        ("b", "http://127.0.0.1:9/mcp?api_key=[hidden]"),
    ] {
        let described = site.run(&["describe", server]);
        assert!(described.out.contains(shown), "{described:?}");
        let json = site.run(&["describe", server, "-o", "json"]);
        for said in [described, json] {
            assert!(!said.out.contains(CANARY), "{said:?}");
        }
    }
}

#[test]
fn mistyped_instance_gets_a_suggestion() {
    let site = Site::with_servers();
    let _up = site.up();
    site.run(&["tools", "math"]).ok();
    let all = site.run(&["ps", "-o", "json"]).json();
    let all = all.as_array().unwrap();
    let math = all.iter().find(|one| one["server"] == "math").unwrap();
    let name = math["instance"].as_str().unwrap();
    let wrong = &name[..name.len() - 1];
    let meant = format!("did you mean {name}?");
    for args in [
        &["describe", wrong][..],
        &["logs", "math", "--instance", wrong],
    ] {
        let said = site.run(args);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains(&meant), "{args:?}: {}", said.err);
    }
}

/// Configures a team, and a gateway that only its members may use.
fn restrict_to_team(site: &Site) {
    let text = site.read();
    site.write(&format!(
        "auth: {{tokens: true}}\nteams:\n  ops: {{members: [ann]}}\n{text}  \
         needy: {{command: [sh, {SERVER}], credentials: [{{name: token, env: TOKEN}}]}}\n\
         gateways:\n  default: {{members: {{teams: [ops]}}}}\n"
    ));
}

#[test]
fn creating_an_ineffective_token_warns() {
    let site = Site::with_servers();
    let up = site.up();
    let made = site.run(&["token", "create", "--user", "ann"]);
    assert!(made.ok().starts_with("mcpo_"));
    assert!(
        made.err.contains("warning: this gateway accepts no tokens"),
        "{made:?}"
    );
    drop(up);
    restrict_to_team(&site);
    let _up = site.up();
    for (args, warning) in [
        (&["token", "create", "--user", "ann"][..], None),
        (
            &["token", "create", "--user", "bob"],
            Some("user/bob is a member of no gateway"),
        ),
        (
            &["token", "create", "--team", "opps"],
            Some("team opps is not configured, so it has no members"),
        ),
        (&["token", "create", "--team", "ops"], None),
    ] {
        let made = site.run(args);
        assert_eq!(made.code, 0, "{made:?}");
        match warning {
            Some(warning) => assert!(
                made.err.contains(&format!("warning: {warning}")),
                "{made:?}"
            ),
            None => assert!(!made.err.contains("warning"), "{made:?}"),
        }
    }
}

#[test]
fn an_installation_for_an_unknown_owner_is_made_with_a_warning() {
    let site = Site::with_servers();
    restrict_to_team(&site);
    let _up = site.up();
    // A user with a token is known.
    assert_eq!(site.run(&["token", "create", "--user", "bob"]).code, 0);
    for (owner, warning) in [
        ("team/opps", Some("team opps is not configured")),
        ("user/carla", Some("user carla is unknown")),
        ("team/ops", None),
        ("user/bob", None),
        ("organization", None),
    ] {
        let args = [
            "install",
            "needy",
            "--owner",
            owner,
            "--unchecked",
            "--value",
            "token=env:SECRET_VALUE",
        ];
        let installed = site.run(&args);
        assert_eq!(installed.code, 0, "{installed:?}");
        assert_eq!(
            installed.err.contains("warning: "),
            warning.is_some(),
            "{installed:?}"
        );
        assert!(
            installed.err.contains(warning.unwrap_or_default()),
            "{installed:?}"
        );
    }
}

#[test]
fn a_secret_in_arguments_is_warned_of() {
    let site = Site::with_servers();
    let folder = site.dir();
    let token = "ghp_0123456789abcdefghijABCDEFGHIJ";
    let file = folder.join("other.json");
    let servers = json!({"mcpServers": {
        "bare": {"command": "npx", "args": ["x", token]},
        "option": {"command": "npx", "args": ["x", "--api-key", "hunter2"]},
        "equals": {"command": "npx", "args": ["x", "--password=hunter2"]},
        "container": {"command": "docker", "args": ["run", "-e", "API_KEY=hunter2", "img"]},
        "address": {"url": "https://x.example/mcp?token=hunter2"},
        "database": {"command": "npx", "args": ["x", "postgres://ann:hunter2@db/x"]},
        "fine": {"command": "npx", "args": ["x", "--level", "info", "--token-file", "/run/t"]},
    }});
    std::fs::write(&file, servers.to_string()).unwrap();
    let into = folder.join("imported.yaml");
    let file = file.to_str().unwrap();
    let imported = support::bare(
        folder,
        &["import", file, "--yes", "--config", into.to_str().unwrap()],
    );
    assert_eq!(imported.code, 0, "{imported:?}");
    let warnings = imported.err.matches("looks like a secret").count();
    assert_eq!(warnings, 6, "{}", imported.err);
    for line in imported.err.lines().filter(|line| line.contains("warning")) {
        assert!(!line.contains("hunter2") && !line.contains(token), "{line}");
    }
    for (args, warned) in [
        (
            &["add", "p", "--", "npx", "x", "--api-key", "hunter2"][..],
            true,
        ),
        (
            &["add", "q", "--env", "API_TOKEN=hunter2", "--", "npx"],
            true,
        ),
        (
            &["add", "r", "--url", "https://x.example/mcp?token=hunter2"],
            true,
        ),
        (
            &["add", "s", "--env", "LEVEL=info", "--", "npx", "x"],
            false,
        ),
        (
            &["add", "t", "--env", "API_TOKEN=${API_TOKEN:-}", "--", "npx"],
            false,
        ),
    ] {
        let added = site.run(args);
        assert_eq!(added.code, 0, "{added:?}");
        assert_eq!(
            added.err.contains("warning: "),
            warned,
            "{args:?}: {added:?}"
        );
        assert!(!added.err.contains("hunter2"), "{added:?}");
    }
}

#[test]
fn help_has_groups_and_examples() {
    let folder = tempfile::tempdir().unwrap();
    let help = support::bare(folder.path(), &["--help"]).ok();
    for part in [
        "Run:\n  up ",
        "Use:\n  tools ",
        "Configure:\n  add ",
        "People and credentials:\n",
        "Options:\n",
        "Exit codes: ",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
    let help = support::bare(folder.path(), &["ps", "--help"]).ok();
    assert!(
        help.contains("Examples:\n  mcp-orchestrator ps\n"),
        "{help}"
    );
    assert!(!help.contains("--kubeconfig"), "it starts nothing: {help}");
    let help = support::bare(folder.path(), &["up", "--help"]).ok();
    assert!(help.contains("--kubeconfig"), "{help}");
    for help in [&["help", "token", "create"][..], &["token", "create", "-h"]] {
        assert!(
            support::bare(folder.path(), help)
                .ok()
                .contains("--expires")
        );
    }
}
