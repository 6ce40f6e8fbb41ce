//! Every message of a mistake names the next step.

use crate::support::{self, Site};

fn with_server(command: &str) -> Site {
    let site = Site::with_servers();
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  s: {{command: [sh, -c, \"{command}\"], start_timeout: 1s}}\n"
    ));
    site
}

#[test]
fn missing_configuration_error_names_the_command_that_creates_one() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        &["up"][..],
        &["ps"],
        &["check"],
        &["call", "time", "now"],
        &["reload"],
    ] {
        let said = support::bare(folder.path(), command);
        assert_eq!(said.code, 2, "{said:?}");
        for part in [
            "mcp-orchestrator add",
            "mcp-orchestrator import",
            "--config",
        ] {
            assert!(said.err.contains(part), "{command:?}: {}", said.err);
        }
    }
    let said = support::bare(folder.path(), &["check", "--config", "none.yaml"]);
    assert!(
        said.err.contains("none.yaml does not exist"),
        "{}",
        said.err
    );
}

#[test]
fn added_server_that_cannot_start_causes_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let said = support::bare(
        folder.path(),
        &["add", "a", "--", "no-such-program-anywhere"],
    );
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out.starts_with("created mcp-orchestrator.yaml with a"),
        "{said:?}"
    );
    assert!(said.err.contains("not found in PATH"), "{said:?}");
    assert!(
        said.err.contains("next: `mcp-orchestrator check --start`"),
        "{said:?}"
    );
    let said = support::bare(folder.path(), &["add", "b", "--", "sh"]);
    assert!(
        said.out.starts_with("added b to mcp-orchestrator.yaml"),
        "{said:?}"
    );
    assert!(!said.err.contains("warning"), "{said:?}");
    let said = support::bare(
        folder.path(),
        &["add", "b", "--replace", "--", "sh", "-c", "x"],
    );
    assert!(said.out.starts_with("replaced b in"), "{said:?}");
    for url in ["localhost:9/mcp", "example.com/mcp", "127.0.0.1:8080"] {
        let said = support::bare(folder.path(), &["add", "c", "--url", url]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("https://"), "{url}: {}", said.err);
    }
    for source in ["ghp_canary", "-x", ""] {
        let source = format!("--bearer={source}");
        let said = support::bare(
            folder.path(),
            &["add", "d", "--url", "https://example.com/mcp", &source],
        );
        assert_eq!(said.code, 2, "{said:?}");
        assert!(
            said.err.contains("env:VARIABLE") && !said.err.contains("canary"),
            "{said:?}"
        );
    }
}

#[test]
fn server_that_exits_at_start_is_reported_with_the_next_step() {
    for (command, parts) in [
        (
            "echo out of order >&2; exit 3",
            &[
                "exited during the MCP handshake (exit status 3)",
                "mcp-orchestrator logs s",
            ][..],
        ),
        (
            "echo self-signed certificate in certificate chain >&2; exit 1",
            &["TLS failed", "NODE_EXTRA_CA_CERTS"],
        ),
        (
            "no-such-command-anywhere",
            &["exit status 127", "check `command` and PATH"],
        ),
    ] {
        let site = with_server(command);
        let alone = site.run(&["check", "--start"]);
        assert_eq!(alone.code, 1, "{alone:?}");
        assert!(alone.out.contains(parts[0]), "{}", alone.out);
        if command.contains("out of order") {
            assert!(alone.out.contains("  | out of order"), "{}", alone.out);
            assert!(
                !alone.out.contains("mcp-orchestrator logs"),
                "{}",
                alone.out
            );
        }
        let _up = site.up();
        let tools = site.run(&["tools"]);
        let ps = site.run(&["ps"]).ok();
        let described = site.run(&["describe", "s"]).ok();
        for part in parts {
            for text in [&tools.err, &ps, &described] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        assert!(ps.contains("failed"), "{ps}");
        assert!(
            described.contains("the next call tries to start one"),
            "{described}"
        );
    }
}

#[test]
fn server_that_starts_too_slowly_is_reported_with_the_next_step() {
    let site = with_server("sleep 60");
    let _up = site.up();
    let said = site.run(&["call", "s", "x"]);
    assert_eq!(said.code, 1, "{said:?}");
    for part in [
        "server s was not ready after 1s (still waiting for the MCP handshake)",
        "start_timeout",
        "mcp-orchestrator logs s",
    ] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
}

#[test]
fn gateway_of_others_does_not_spoil_the_check() {
    let site = Site::with_servers();
    let text = site.read();
    site.write(&format!(
        "{text}gateways:\n  default: {{servers: [math]}}\n  ops: {{members: {{users: [ann]}}, servers: [broken]}}\n"
    ));
    let _up = site.up();
    let said = site.run(&["check", "--start"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("configuration OK"), "{said:?}");
    assert!(
        said.out.contains("server broken exited"),
        "a server of ops alone is started: {said:?}"
    );
    assert!(!said.err.contains("unknown gateway"), "{said:?}");
}

#[test]
fn token_for_a_gateway_warns_if_its_user_is_not_a_member() {
    let site = Site::with_servers();
    let text = site.read();
    site.write(&format!(
        "auth: {{tokens: true}}\n{text}gateways:\n  ops: {{members: {{users: [ann]}}, servers: [math]}}\n"
    ));
    let _up = site.up();
    let create = |args: &[&str]| site.run(&[&["token", "create"][..], args].concat());
    let said = create(&["--user", "zed", "--gateway", "ops"]);
    assert!(
        said.err.contains("user/zed is not a member of gateway ops"),
        "{said:?}"
    );
    for args in [
        &["--user", "ann", "--gateway", "ops"][..],
        &["--user", "zed", "--gateway", "default"],
        &["--user", "zed"],
    ] {
        let said = create(args);
        assert!(!said.err.contains("warning"), "{said:?}");
    }
    let said = create(&["--user", "ann", "--gateway", "opss"]);
    assert!(
        said.err
            .contains("unknown gateway opss; configured are default, ops"),
        "{said:?}"
    );
    let said = site.run(&["token", "revoke", "none"]);
    assert!(said.err.contains("token list"), "{said:?}");
}

#[test]
fn gateway_name_and_url_are_separate_options() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str], env: &[(&str, &str)]| support::bare_with(folder.path(), args, env);
    let url = "http://127.0.0.1:1";
    for args in [
        &["ps", "--gateway", url][..],
        &["tools", "--gateway=http://127.0.0.1:1"],
    ] {
        let said = run(args, &[]);
        assert!(
            said.err.contains("use --gateway-url"),
            "{args:?}: {}",
            said.err
        );
        assert!(
            said.err.contains("MCP_ORCHESTRATOR_TOKEN"),
            "{args:?}: {}",
            said.err
        );
    }
    let said = run(&["ps", "--gateway-url", url], &[]);
    assert!(
        !said.err.contains("warning") && said.err.contains("token create"),
        "{said:?}"
    );
    for args in [
        &["ps", "--gateway-url", "127.0.0.1:1"][..],
        &["tools", "--gateway", "127.0.0.1:1"],
    ] {
        let said = run(args, &[]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(
            said.err.contains("did you mean http://127.0.0.1:1?"),
            "{said:?}"
        );
    }
    let old = run(&["ps"], &[("MCP_ORCHESTRATOR_GATEWAY", url)]);
    assert!(
        old.err.contains("use MCP_ORCHESTRATOR_GATEWAY_URL"),
        "{old:?}"
    );
    let new = run(&["ps"], &[("MCP_ORCHESTRATOR_GATEWAY_URL", url)]);
    assert!(
        !new.err.contains("warning") && new.err.contains("requires a token"),
        "{new:?}"
    );
}

#[test]
fn goose_file_is_read_back_with_everything_that_was_in_it() {
    let site = Site::with_servers();
    let text = site.read();
    site.write(&format!("auth: {{tokens: true}}\n{text}"));
    let up = site.up();
    let file = site.dir().join("config.yaml");
    let before =
        "# mine\nGOOSE_MODEL: x\nextensions:\n  developer:\n    type: builtin\n    enabled: true\n";
    std::fs::write(&file, before).unwrap();
    let name = file.to_str().unwrap();
    site.run(&["connect", "goose", "--write", "--file", name])
        .ok();
    let after = std::fs::read_to_string(&file).unwrap();
    assert!(
        after.contains("# mine") && after.contains("developer:"),
        "{after}"
    );
    let target = site.dir().join("imported.yaml");
    let read = support::bare(
        site.dir(),
        &[
            "import",
            name,
            "--yes",
            "--config",
            target.to_str().unwrap(),
        ],
    );
    let read = format!("{}{}", read.ok(), std::fs::read_to_string(&target).unwrap());
    assert!(read.contains(&format!("{}/mcp", up.address())), "{read}");
    assert!(read.contains("Bearer ${MCP_ORCHESTRATOR_TOKEN}"), "{read}");
    support::bare(site.dir(), &["disconnect", "goose", "--file", name]).ok();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn unknown_key_and_wrong_type_say_what_is_expected() {
    let site = Site::with_servers();
    for (text, part) in [
        (
            "lisen: x\nservers: {}\n",
            "unknown key \"lisen\"; did you mean \"listen\"?",
        ),
        (
            "servers: {a: {command: x, zzz: 1}}\n",
            "unknown key \"zzz\"; known names are args, ",
        ),
        (
            "gateways: [a]\nservers: {}\n",
            "expected a mapping of names, found a list",
        ),
        ("servers: {a: {command: x, timeout: [1]}}\n", "found a list"),
        (
            "servers: {a: {command: x, max_calls_in_flight: many}}\n",
            "expected a number, found a string",
        ),
        (
            "servers: {a: {command: x, era: modrn}}\n",
            "must be one of auto, legacy, modern",
        ),
        ("servers: {a: {url: example.com}}\n", "https://"),
        (
            "servers: {}\nlisten: localhost\n",
            "must be an IP address and a port",
        ),
    ] {
        site.write(text);
        let said = site.run(&["check"]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.out.contains(part), "{text}: {}", said.out);
    }
}
