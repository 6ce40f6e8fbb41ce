//! What the format means.

use std::time::Duration;

use super::{good, load_as};
use crate::config::{CredentialSource, LogFormat};
use crate::credential::{CredentialRule, Owner};
use crate::id::{GatewayId, ServerId};
use crate::router::{ToolFilter, ToolNames};
use crate::server::{
    Egress, EraChoice, Injection, Isolation, Launch, PortOwner, ProgramTransport, RemoteTransport,
    StartMode,
};
use crate::value::Text;

const ALL: &str = r#"
servers:
  jira:
    command: [sh, -c, "serve --port ${PORT}"]
    type: http
    port: 9000
    port_owner: any
    path: /rpc
    env: {MODE: "1.10", SECRET: "${TOKEN}"}
    inherit_env: [SSH_AUTH_SOCK]
    cwd: /
    credentials:
      - {name: token, env: JIRA_TOKEN, value: "${TOKEN}", description: A token}
      - {name: key, file: {name: key.pem, path_env: KEY_FILE}, from_file: /keys/jira, required: false}
      - {name: auth, header: {name: Authorization, prefix: "Bearer "}, from_env: JIRA_AUTH}
    era: legacy
    isolation: principal
    timeout: 90s
    idle_timeout: never
    max_message_bytes: 1MiB
    max_calls_in_flight: 3
    task_ttl_max: 1h30m
    egress: [10.0.0.0/8, "10.1.2.3/32:443"]
  alpha:
    command: npx
    args: [-y, server, "$${NOT}"]
    image: ghcr.io/example/alpha:1
    start: eager
    egress: public
  remote:
    url: https://example.com/mcp
    type: sse
    headers: {X-Team: core, Authorization: "Bearer ${TOKEN}"}
gateways:
  ops:
    members: {users: [ann], teams: [dev, ops]}
    tool_names: prefixed
    listed: everyone
    servers:
      - remote
      - server: jira
        as: jira-ops
        tools: {show: ["get_*"], hide: [get_secret], only: [read_only]}
        credential: {pinned: team/ops}
      - {server: jira, credential: resolve}
teams:
  ops: {members: [bob], managers: [ann]}
  dev: {members: [ann]}
admins: [root]
listen: "[::1]:0"
metrics_listen: localhost:9090
state_dir: /var/lib/mcp
allowed_origins: [https://app.example.com]
allowed_hosts: [mcp.example.com]
max_body_bytes: 1MiB
log: {format: json, level: debug}
"#;

fn server(text: &str, name: &str) -> crate::server::ServerSpec {
    let settings = good(text).settings;
    (**settings.server(&ServerId::new(name).unwrap()).unwrap()).clone()
}

#[test]
fn every_key_reaches_its_noun() {
    let jira = server(ALL, "jira");
    let Launch::Program(program) = &jira.launch else {
        panic!("{jira:?}")
    };
    let command = program.command.as_ref().unwrap();
    assert_eq!(command.program, "sh");
    assert_eq!(command.args[1].expose(), "serve --port ${PORT}");
    assert!(!command.args[1].is_secret());
    assert_eq!(command.cwd.as_deref(), Some(std::path::Path::new("/")));
    assert_eq!(
        program.transport,
        ProgramTransport::Http {
            port: Some(9000),
            path: "/rpc".into(),
            owner: PortOwner::Any,
        }
    );
    assert_eq!(jira.env["MODE"].expose(), "1.10");
    assert!(jira.env["SECRET"].is_secret());
    assert_eq!(jira.inherit_env, ["SSH_AUTH_SOCK"]);
    assert_eq!(jira.slots.len(), 3);
    assert_eq!(
        jira.slots[1].inject,
        Injection::File {
            name: "key.pem".into(),
            path_env: Some("KEY_FILE".into())
        }
    );
    assert_eq!(
        jira.slots[2].inject,
        Injection::Header {
            name: "authorization".into(),
            prefix: "Bearer ".into()
        }
    );
    assert_eq!(
        (jira.slots[0].required, jira.slots[1].required),
        (true, false)
    );
    assert_eq!(
        (jira.era, jira.isolation),
        (EraChoice::Legacy, Isolation::Principal)
    );
    assert_eq!(jira.limits.call_timeout, Duration::from_secs(90));
    assert_eq!(jira.limits.idle_timeout, None);
    assert_eq!(
        (jira.limits.message_bytes, jira.limits.calls_in_flight),
        (1 << 20, 3)
    );
    assert_eq!(jira.limits.task_ttl_max, Duration::from_mins(90));
    assert_eq!(
        jira.egress,
        Egress::Only(vec!["10.0.0.0/8".into(), "10.1.2.3/32:443".into()])
    );
}

#[test]
fn images_and_remote_servers() {
    let alpha = server(ALL, "alpha");
    let Launch::Program(program) = &alpha.launch else {
        panic!("{alpha:?}")
    };
    assert_eq!(program.image.as_deref(), Some("ghcr.io/example/alpha:1"));
    assert_eq!(program.command.as_ref().unwrap().args[2].expose(), "${NOT}");
    assert_eq!(
        (alpha.start, alpha.egress),
        (StartMode::Eager, Egress::Public)
    );

    let remote = server(ALL, "remote");
    let Launch::Remote(remote) = &remote.launch else {
        panic!("{remote:?}")
    };
    assert_eq!(remote.transport, RemoteTransport::Sse);
    assert!(remote.headers["authorization"].is_secret() && !remote.headers["x-team"].is_secret());
}

#[test]
fn all_other_settings_are_read_from_the_file() {
    let settings = good(ALL).settings;
    let names: Vec<_> = settings
        .servers
        .iter()
        .map(|server| server.id.as_str())
        .collect();
    assert_eq!(
        names,
        ["jira", "alpha", "remote"],
        "in the order of the file"
    );
    assert_eq!(settings.listen.to_string(), "[::1]:0");
    assert_eq!(
        settings.metrics_listen.unwrap().to_string(),
        "127.0.0.1:9090"
    );
    assert_eq!(settings.state_dir, std::path::Path::new("/var/lib/mcp"));
    assert_eq!(settings.max_body_bytes, 1 << 20);
    assert_eq!(
        (settings.log.format, &*settings.log.level),
        (LogFormat::Json, "debug")
    );
    assert!(matches!(
        &settings.credentials[0].source,
        CredentialSource::Value(Text::Secret(_))
    ));
    assert!(
        matches!(&settings.credentials[1].source, CredentialSource::File(file) if file.ends_with("keys/jira"))
    );
    assert!(
        matches!(&settings.credentials[2].source, CredentialSource::Env(name) if name == "JIRA_AUTH")
    );
}

#[test]
fn gateways_show_what_they_list() {
    let settings = good(ALL).settings;
    let default = &settings.gateways[0];
    assert_eq!((default.id.as_str(), default.servers.len()), ("default", 3));
    assert_eq!(default.servers[0].credential, CredentialRule::Resolve);
    assert_eq!(default.servers[1].credential, CredentialRule::None);
    let ops = settings.gateway(&GatewayId::new("ops").unwrap()).unwrap();
    assert_eq!(ops.tool_names, ToolNames::Prefixed);
    assert!(ops.is_public && !default.is_public);
    let aliases: Vec<_> = ops.servers.iter().map(|view| view.alias.as_str()).collect();
    assert_eq!(aliases, ["remote", "jira-ops", "jira"]);
    let team = Owner::Team(crate::id::TeamId::new("ops").unwrap());
    assert_eq!(ops.servers[1].credential, CredentialRule::Pinned(team));
    let shows = |name, read_only| {
        let hints = || crate::router::Hints {
            read_only,
            ..Default::default()
        };
        ops.servers[1].tools.shows(name, hints)
    };
    assert!(shows("get_issue", true) && !shows("get_issue", false) && !shows("get_secret", true));
    let teams: Vec<_> = ops
        .members
        .teams()
        .iter()
        .map(|team| team.as_str())
        .collect();
    assert_eq!(teams, ["dev", "ops"]);
    let people = &settings.people;
    assert_eq!(people.teams[0].id.as_str(), "ops");
    assert_eq!(people.teams[0].managers[0].as_str(), "ann");
    assert_eq!(people.admins[0].as_str(), "root");
    assert_eq!(ops.servers[2].tools, ToolFilter::All);
}

#[test]
fn empty_configuration_has_defaults() {
    for text in ["", "# nothing\n", "{}", "servers:\n"] {
        let loaded = good(text);
        let settings = loaded.settings;
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert!(
            settings
                .state_dir
                .starts_with("/home/u/.local/state/mcp-orchestrator")
        );
        assert_eq!((settings.gateways.len(), settings.servers.len()), (1, 0));
    }
    assert_eq!(load_as(&[]).unwrap().settings.files.len(), 0);
}

#[test]
fn of_a_server_in_two_files_the_later_counts_and_that_is_said() {
    let one = "servers: {a: {command: sh}, b: {command: sh}}\nlisten: 127.0.0.1:1";
    let two = "servers: {a: {url: \"http://h/\"}}\nlisten: 127.0.0.1:2\ngateways: {default: {servers: [b]}}";
    let loaded = load_as(&[("one.yaml", one), ("two.yaml", two)]).unwrap();
    assert!(matches!(
        loaded.settings.servers[0].launch,
        Launch::Remote(_)
    ));
    assert_eq!(loaded.settings.servers.len(), 2);
    assert_eq!(loaded.settings.listen.port(), 2);
    let notices: Vec<_> = loaded.notices.iter().map(ToString::to_string).collect();
    assert!(
        notices[0].contains("two.yaml:1:11: servers.a: also set in one.yaml; this value is used"),
        "{notices:?}"
    );
    assert!(notices[1].contains("two.yaml:2:9: listen"), "{notices:?}");
}

#[test]
fn missing_program_is_a_notice_that_names_the_search_path() {
    let notices =
        good("servers: {a: {command: no-such-program-here}, b: {command: sh -c x}}").notices;
    assert!(
        notices[0].message.contains("not found in PATH; install it"),
        "{notices:?}"
    );
    assert!(notices[1].message.contains("write a list"), "{notices:?}");
}

#[test]
fn anchors_and_merge_keys_work() {
    let text = "
servers:
  a: &common
    command: [sh]
    timeout: 7s
    env: {A: x}
  b:
    <<: *common
    timeout: 8s
";
    let b = server(text, "b");
    assert_eq!(b.limits.call_timeout, Duration::from_secs(8));
    assert_eq!(b.env["A"].expose(), "x");
}

#[test]
fn paths_start_at_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let text = "
state_dir: state
servers:
  a:
    command: [./run, ./arg]
    cwd: sub
    credentials: [{name: t, env: T, from_file: token}]
";
    std::fs::write(&file, text).unwrap();
    let loaded = crate::config::load(&[file], &super::options()).unwrap();
    let root = folder.path();
    assert_eq!(loaded.settings.state_dir, root.join("state"));
    let Launch::Program(program) = &loaded.settings.servers[0].launch else {
        panic!("{loaded:?}")
    };
    let command = program.command.as_ref().unwrap();
    assert_eq!(command.cwd, Some(root.join("sub")));
    assert_eq!(std::path::Path::new(&command.program), root.join("run"));
    assert_eq!(command.args[0].expose(), "./arg");
    let says: Vec<_> = loaded
        .notices
        .iter()
        .map(|notice| notice.key.as_str())
        .collect();
    assert_eq!(
        says,
        ["servers.a.command", "servers.a.credentials[0].from_file"]
    );
}

#[test]
fn transport_is_detected_unless_configured() {
    for (keys, transport) in [
        ("", RemoteTransport::Detect),
        (", era: auto", RemoteTransport::Detect),
        (", headers: {X-A: b}", RemoteTransport::Detect),
        (", era: modern", RemoteTransport::StreamableHttp),
        (", type: http", RemoteTransport::StreamableHttp),
        (", type: sse", RemoteTransport::Sse),
    ] {
        let text = format!("servers: {{a: {{url: \"https://a.example/mcp\"{keys}}}}}");
        let settings = good(&text).settings;
        let Launch::Remote(remote) = &settings.servers[0].launch else {
            panic!("{keys}");
        };
        assert_eq!(remote.transport, transport, "{keys}");
    }
}
