//! Tests of the messages for mistakes that new users make.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod failing_starts;
mod next_steps;
mod texts;

use std::fs;
use std::process::Command;

use crate::support::Site;

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn unreachable_remote_server_is_shown_as_failed() {
    let site = Site::with_servers();
    let port = free_port();
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  web: {{url: \"http://127.0.0.1:{port}/mcp\"}}\n  \
         sse: {{url: \"http://127.0.0.1:{port}/sse\", type: sse}}\n"
    ));
    let alone = site.run(&["check", "--start"]);
    assert_eq!(alone.code, 1, "{alone:?}");
    assert!(alone.out.contains("cannot connect"), "{}", alone.out);
    let _up = site.up();
    for server in ["web", "sse"] {
        let tools = site.run(&["tools", server]);
        assert_eq!(tools.code, 1, "{tools:?}");
        assert!(
            tools.err.to_lowercase().contains("connect"),
            "{}",
            tools.err
        );
    }
    let ps = site.run(&["ps"]).ok();
    let web = ps.lines().find(|line| line.starts_with("web")).unwrap();
    assert!(
        web.contains("failed") && web.contains("cannot connect"),
        "{ps}"
    );
    assert!(!ps.contains("handshake"), "nothing was reached: {ps}");
    let described = site.run(&["describe", "web"]).ok();
    assert!(
        described.contains("failed") && described.contains("cannot connect"),
        "{described}"
    );
    assert_eq!(site.run(&["check"]).code, 1);
    assert_eq!(site.run(&["check", "--start"]).code, 1);
}

#[test]
fn mistyped_server_name_gets_a_suggestion() {
    let site = Site::with_servers();
    let said = site.run(&["call", "mth", "add"]);
    assert!(said.err.contains("did you mean math?"), "{}", said.err);
    let _up = site.up();
    for args in [
        &["call", "mahth", "add"][..],
        &["tools", "maht"],
        &["logs", "mat"],
        &["describe", "maths"],
        &["restart", "Math"],
        &["stop", "mth"],
    ] {
        let said = site.run(args);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(
            said.err.contains("did you mean math?"),
            "{args:?}: {}",
            said.err
        );
    }
    let said = site.run(&["call", "math", "ad", "-a", "a=1"]);
    assert!(said.err.contains("did you mean add?"), "{}", said.err);
    let said = site.run(&["tools", "--gateway", "defualt"]);
    assert!(said.err.contains("did you mean default?"), "{}", said.err);
    let said = site.run(&["connect", "cursor", "--gateway", "defalt"]);
    assert!(said.err.contains("did you mean default?"), "{}", said.err);
}

#[test]
fn explain_reports_why_a_call_would_fail() {
    let site = Site::with_servers();
    let text = site.read();
    site.write(&format!(
        "{text}gateways:\n  default: {{servers: [math, secretive]}}\n  ops: {{members: {{users: [ann]}}, servers: [math]}}\n"
    ));
    let _up = site.up();
    site.run(&["tools", "math"]).ok();
    assert_eq!(site.run(&["explain", "math__add"]).code, 0);
    let said = site.run(&["explain", "math__ad"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.contains("does not list tool \"ad\"") && said.out.contains("add, fail"),
        "{}",
        said.out
    );
    let said = site.run(&["explain", "add", "--gateway", "ops", "--principal", "bob"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.contains("is not a member of gateway ops"),
        "{}",
        said.out
    );
}

#[test]
fn missing_credential_error_explains_how_to_provide_it() {
    let site = Site::with_servers();
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server.sh");
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  a:\n    command: [sh, {server}]\n    \
         credentials: [{{name: token, env: TOKEN, from_env: NOT_SET_ANYWHERE}}]\n  \
         b:\n    command: [sh, {server}]\n    credentials: [{{name: token, env: TOKEN}}]\n"
    ));
    let _up = site.up();
    let said = site.run(&["call", "a", "add"]);
    for part in ["NOT_SET_ANYWHERE is not set", "mcp-orchestrator install a"] {
        assert!(said.err.contains(part), "{}", said.err);
    }
    let said = site.run(&["call", "b", "add"]);
    assert!(
        said.err.contains("mcp-orchestrator install b"),
        "{}",
        said.err
    );
}

#[test]
fn up_prints_next_steps_and_names_the_process_using_its_port() {
    let site = Site::with_servers();
    let mut up = site.up();
    site.run(&["ps"]).ok();
    let said = fs::read_to_string(site.dir().join("up.log")).unwrap();
    for part in [
        &format!("endpoint for MCP clients: {}/mcp", up.address())[..],
        "3 servers: ",
        "mcp-orchestrator connect",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let address = up.address().strip_prefix("http://").unwrap();
    let other = Site::with_servers();
    let said = other.run(&["up", "--listen", address]);
    assert_eq!(said.code, 1, "{said:?}");
    for part in [&format!("process {}", up.pid())[..], "--listen"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    let said = site.run(&["up"]);
    assert!(
        said.err.contains(&format!("process {}", up.pid())),
        "{}",
        said.err
    );
    up.end();
}

#[test]
fn server_output_cannot_control_the_terminal() {
    let site = Site::with_servers();
    let script = site.dir().join("evil.sh");
    let evil = r"\\u001b]0;pwned\\u0007\\u001b[2J\\nFORGED LINE\\u202e\\r";
    let text = format!(
        "while read -r line; do id=$(printf %s \"$line\" | sed -n 's/.*\"id\":\\([0-9]*\\).*/\\1/p')\n\
         case $line in\n\
         *initialize\\\"*) printf '{{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{{\"tools\":{{}}}},\"serverInfo\":{{\"name\":\"e\",\"version\":\"1\"}}}}}}\\n' \"$id\" ;;\n\
         *tools/list*) printf '{{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{{\"tools\":[{{\"name\":\"t{evil}\",\"description\":\"d{evil}\",\"inputSchema\":{{\"type\":\"object\"}}}}]}}}}\\n' \"$id\" ;;\n\
         *'\"id\"'*) printf '{{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{{\"code\":-1,\"message\":\"no{evil}\"}}}}\\n' \"$id\" ;;\n\
         esac; done\n"
    );
    fs::write(&script, text).unwrap();
    let dead = site.dir().join("dead.sh");
    fs::write(
        &dead,
        "printf 'err\\033]0;x\\007\\033[2J\\342\\200\\256\\n' >&2; exit 3\n",
    )
    .unwrap();
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  evil: {{command: [sh, {}]}}\n  dead: {{command: [sh, {}]}}\n",
        script.display(),
        dead.display()
    ));
    let _up = site.up();
    for args in [
        &["tools", "evil"][..],
        &["call", "evil", "t"],
        &["call", "dead", "t"],
        &["ps"],
        &["describe", "evil"],
        &["describe", "dead"],
        &["logs", "dead"],
        &["check"],
        &["explain", "evil__t\u{1b}[2J\u{202e}"],
    ] {
        let said = site.run(args);
        let all = format!("{}{}", said.out, said.err);
        let steers = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}');
        assert!(!all.contains(steers), "{args:?}: {all:?}");
        assert!(
            !all.lines().any(|line| line.starts_with("FORGED")),
            "{args:?}: {all}"
        );
    }
    let said = site.run(&["call", "evil", "t"]);
    assert!(said.err.contains("FORGED LINE"), "{}", said.err);
}

#[test]
fn interrupted_command_exits_with_130() {
    let site = Site::with_servers();
    let mut up = site.up();
    let mut watch = site.start(&["ps", "--watch"]);
    let mut line = String::new();
    let mut out = std::io::BufReader::new(watch.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert!(line.starts_with("SERVER"), "{line}");
    let pid = watch.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(watch.wait().unwrap().code(), Some(130));
    up.end();
}

#[test]
fn empty_results_are_reported() {
    let site = Site::with_servers();
    site.write("listen: 127.0.0.1:0\nservers: {}\n");
    let checked = site.run(&["check"]);
    assert!(
        checked.out.contains("configuration OK (0 servers)"),
        "{}",
        checked.out
    );
    let _up = site.up();
    let said = site.run(&["ps"]);
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    assert!(
        said.err.contains("no servers are configured"),
        "{}",
        said.err
    );
    let said = site.run(&["installations"]);
    assert!(said.err.contains("nothing is installed"), "{}", said.err);
    let version = crate::support::bare(site.dir(), &["version"]);
    assert!(version.ok().starts_with("mcp-orchestrator "));
}

/// The reader closes standard output while the command is still writing.
#[test]
fn command_exits_quietly_when_stdout_is_closed() {
    let site = Site::with_servers();
    let _up = site.up();
    let mut child = site.start(&["ps"]);
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn remove_deletes_a_server_from_the_file() {
    let site = Site::with_servers();
    let before = site.read();
    let none = site.run(&["remove", "mathh"]);
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.err.contains("did you mean math?"), "{}", none.err);
    site.write(&format!(
        "{before}gateways:\n  default: {{servers: [math]}}\n"
    ));
    let named = site.run(&["remove", "math"]);
    assert_eq!(named.code, 2, "{named:?}");
    assert!(site.read().contains("math:"), "{}", site.read());
    site.write(&before);
    assert!(
        site.run(&["remove", "math"])
            .ok()
            .starts_with("removed math from")
    );
    assert!(
        !site.read().contains("math") && site.read().contains("# mine"),
        "{}",
        site.read()
    );
    assert_eq!(site.run(&["check"]).code, 0);
}
