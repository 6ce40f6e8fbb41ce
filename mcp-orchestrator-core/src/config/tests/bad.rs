//! Problems are reported with position, key and advice.

use super::{bad, load_as};

/// Texts with one problem each, and the expected message. `~` abbreviates a server that the remaining text belongs to.
const MISTAKES: &[(&str, &str)] = &[
    (
        "serverz: {}",
        "c.yaml:1:1: serverz: unknown key \"serverz\"; did you mean \"servers\"?",
    ),
    (
        "~comand: x",
        "c.yaml:4:5: servers.a.comand: unknown key \"comand\"; did you mean \"command\"?",
    ),
    (
        "~idleTimeout: 5m",
        "c.yaml:4:5: servers.a.idleTimeout: unknown key \"idleTimeout\"; did you mean \"idle_timeout\"?",
    ),
    (
        "~timeout: 60",
        "c.yaml:4:14: servers.a.timeout: a duration needs a unit",
    ),
    (
        "~timeout: 0s",
        "c.yaml:4:14: servers.a.timeout: must be longer than 0",
    ),
    (
        "~max_message_bytes: 1TB",
        "c.yaml:4:24: servers.a.max_message_bytes: the units of a size",
    ),
    (
        "~max_calls_in_flight: many",
        "c.yaml:4:26: servers.a.max_calls_in_flight: expected a number, found a string",
    ),
    (
        "~era: modrn",
        "c.yaml:4:10: servers.a.era: must be one of auto, legacy, modern; did you mean \"modern\"?",
    ),
    (
        "~env: [A]",
        "c.yaml:4:5: servers.a.env: expected a mapping, found a list",
    ),
    (
        "~env: {A: [1]}",
        "c.yaml:4:11: servers.a.env.A: expected a string, found a list",
    ),
    (
        "~env: {A=B: x}",
        "c.yaml:4:11: servers.a.env.\"A=B\": a variable name must not contain '=', white space",
    ),
    (
        "~env: {A: \"${NOT_SET}\"}",
        "c.yaml:4:14: servers.a.env.A: the variable NOT_SET is not set",
    ),
    (
        "~args: [x]",
        "c.yaml:4:5: servers.a.args: `command` is a list; put the arguments into it",
    ),
    (
        "~url: https://example.com",
        "c.yaml:4:10: servers.a.url: a server has a `url`, or a `command`",
    ),
    (
        "~headers: {A: b}",
        "c.yaml:4:5: servers.a.headers: headers belong to a server with a `url`",
    ),
    (
        "~type: sse",
        "c.yaml:4:11: servers.a.type: a program is `stdio` or `http`",
    ),
    (
        "~port: 80",
        "c.yaml:4:11: servers.a.port: only applies to a program with `type: http`",
    ),
    (
        "~type: http\n    port: 70000",
        "c.yaml:5:11: servers.a.port: expected a number from 0 to 65535",
    ),
    (
        "~type: http\n    path: mcp",
        "c.yaml:5:11: servers.a.path: must be a path",
    ),
    (
        "~cwd: /does/not/exist",
        "c.yaml:4:10: servers.a.cwd: folder not found",
    ),
    (
        "~egress: [10.0.0.0/33]",
        "c.yaml:4:14: servers.a.egress[0]: the prefix length",
    ),
    (
        "~egress: some",
        "c.yaml:4:13: servers.a.egress: must be all, public, none",
    ),
    (
        "~start: eager\n    isolation: session",
        "c.yaml:4:12: servers.a.start: only a server with one instance",
    ),
    (
        "~inherit_env: [\"\"]",
        "c.yaml:4:19: servers.a.inherit_env[0]: a variable name must not be empty",
    ),
    (
        "~credentials: [{env: A}]",
        "c.yaml:4:19: servers.a.credentials[0]: a credential needs a `name`",
    ),
    (
        "~credentials: [{name: a}]",
        "c.yaml:4:19: servers.a.credentials[0]: a credential needs one of",
    ),
    (
        "~credentials: [{name: a b, env: A}]",
        "servers.a.credentials[0].name: \"a b\" is not a valid slot name",
    ),
    (
        "~credentials: [{name: a, header: X-Key}]",
        "servers.a.credentials[0].header: a stdio server receives a credential as `env` or `file`",
    ),
    (
        "~credentials: [{name: a, file: ../x}]",
        "servers.a.credentials[0].file: must be a file name without a folder",
    ),
    (
        "~credentials: [{name: a, env: A}, {name: a, env: B}]",
        "credentials[1].name: another credential",
    ),
    (
        "~credentials: [{name: a, env: A}, {name: b, env: A}]",
        "servers.a.credentials[1]: this server also sets this env elsewhere",
    ),
    (
        "~credentials: [{name: a, env: A, value: x, from_env: B}]",
        "servers.a.credentials[0]: a credential can have only one of `value`, `from_env`, `from_file` and `from_secret`",
    ),
    (
        "~credentials: [{name: a, env: A, from_env: B, from_secret: {name: x, key: y}}]",
        "servers.a.credentials[0]: a credential can have only one of `value`, `from_env`, `from_file` and `from_secret`",
    ),
    (
        "~credentials: [{name: a, env: A, from_secret: {name: x, key: y, namespace: z}}]",
        "from_secret.namespace: unknown key",
    ),
    (
        "servers: {a: {}}",
        "c.yaml:1:11: servers.a: a server needs a `command`, an `image` or a `url`",
    ),
    (
        "servers: {A b: {command: sh}}",
        "c.yaml:1:11: servers.\"A b\": \"A b\" is not a valid server name",
    ),
    (
        "servers: {a: 1}",
        "c.yaml:1:14: servers.a: expected a mapping",
    ),
    (
        "servers: {a: {command: []}}",
        "servers.a.command: must not be empty",
    ),
    (
        "backend: kubernetes\nservers: {a: {image: x, cwd: /y}}",
        "servers.a.cwd: needs a `command`",
    ),
    (
        "servers: {a: {url: example.com}}",
        "c.yaml:1:20: servers.a.url: the URL has no scheme",
    ),
    (
        "servers: {a: {url: \"ftp://example.com\"}}",
        "servers.a.url: must start with https:// or http://",
    ),
    (
        "servers: {a: {url: \"https://u:p@example.com\"}}",
        "servers.a.url: the URL contains a user or password",
    ),
    (
        "servers: {a: {url: \"http://h\", env: {}}}",
        "servers.a.env: not allowed for a server with a `url`",
    ),
    (
        "servers: {a: {url: \"http://h\", type: stdio}}",
        "servers.a.type: a server with a `url` is `http`",
    ),
    (
        "servers: {a: {url: \"http://h\", headers: {a b: c}}}",
        "servers.a.headers.\"a b\": not a valid header name",
    ),
    (
        "servers: {a: {url: \"http://h\", headers: {A: \"b\\nc\"}}}",
        "servers.a.headers.A: a header value must not contain line breaks or control characters",
    ),
    (
        "servers: {a: {url: \"http://h\", credentials: [{name: a, env: A}]}}",
        "servers.a.credentials[0]: a server with a `url` receives a credential as a `header`",
    ),
    (
        "gateways: {default: {servers: [githib]}}\nservers: {github: {command: sh}}",
        "c.yaml:1:32: gateways.default.servers[0]: unknown server githib; did you mean \"github\"?",
    ),
    (
        "~\ngateways: {x: {servers: [a, a]}}",
        "gateways.x.servers[1]: duplicate name a in this gateway",
    ),
    (
        "~\ngateways: {x: {servers: [{server: a, as: A}]}}",
        "gateways.x.servers[0].as: \"A\" is not a valid alias",
    ),
    (
        "~\ngateways: {x: {servers: [{as: a}]}}",
        "gateways.x.servers[0]: missing key \"server\"",
    ),
    (
        "~\ngateways: {x: {servers: [{server: a, credential: {pinned: organization}}]}}",
        "this server has no `credentials`",
    ),
    (
        "~credentials: [{name: t, env: T}]\ngateways: {x: {servers: [{server: a, credential: {pinned: me}}]}}",
        "an owner is user/ID, team/ID or organization",
    ),
    (
        "~credentials: [{name: t, env: T}]\ngateways: {x: {members: {teams: [dev]}, servers: [{server: a, credential: {pinned: team/ops}}]}}",
        "gateways.x.servers: a: the credential of team/ops may be used only in a gateway of that team",
    ),
    (
        "~credentials: [{name: t, env: T}]\ngateways: {x: {members: {users: [bob]}, servers: [{server: a, credential: {pinned: user/ann}}]}}",
        "nobody of that name is a member",
    ),
    (
        "~\ngateways: {x: {members: {}}}",
        "gateways.x.members: set `users` or `teams`",
    ),
    ("~\nteams: {ops: {members: [a b]}}", "teams.ops.members[0]"),
    (
        "~credentials: [{name: t, env: T}]\ngateways: {x: {servers: [{server: a, credential: none}]}}",
        "this server needs a credential",
    ),
    (
        "gateways: {X: {}}",
        "c.yaml:1:12: gateways.X: \"X\" is not a valid gateway name",
    ),
    (
        "listen: 8080",
        "c.yaml:1:9: listen: must be an IP address and a port, e.g. 127.0.0.1:8080, or 0.0.0.0:8080 for all interfaces",
    ),
    (
        "listen: 127.0.0.1:1\nmetrics_listen: 127.0.0.1:1",
        "metrics_listen: metrics need a listener of their own",
    ),
    (
        "allowed_origins: [example.com]",
        "c.yaml:1:19: allowed_origins[0]: must be an origin without a path, e.g. https://app.example.com",
    ),
    (
        "auth: {local: false}",
        "c.yaml:1:15: auth.local: nobody could sign in",
    ),
    (
        "auth: {issuers: [{issuer: https://a.example}]}",
        "auth.issuers[0]: whom must its tokens be for?",
    ),
    (
        "auth: {issuers: [{issuer: a.example, audience: [x]}]}",
        "c.yaml:1:27: auth.issuers[0].issuer: the URL has no scheme",
    ),
    (
        "auth: {issuers: [{audience: [x]}]}",
        "auth.issuers[0]: `issuer` is missing, e.g. https://idp.example.com",
    ),
    (
        "auth: {issuers: [{issuer: https://a.example, audience: [x], algorithms: [HS256]}]}",
        "auth.issuers[0].algorithms[0]: must be one of RS256",
    ),
    (
        "auth: {issuers: [{issuer: https://a.example, audience: [x], algorithms: [none]}]}",
        "auth.issuers[0].algorithms[0]: must be one of RS256",
    ),
    (
        "auth: {issuers: [{issuer: https://a.example, audience: []}]}\npublic_url: https://m.example",
        "auth.issuers[0].audience: must not be empty: every token would be rejected",
    ),
    (
        "auth: {issuers: [{issuer: https://a.example, audience: [x], scopes: [a b]}]}",
        "auth.issuers[0].scopes[0]: a scope is one word",
    ),
    (
        "auth: {issuers: [{issuer: https://a.example, audience: [x], client_secret: s}]}",
        "auth.issuers[0].client_secret: needs a `client_id`",
    ),
    (
        "public_url: mcp.example.com",
        "c.yaml:1:13: public_url: the public address must be as https://",
    ),
    (
        "trusted_proxies: [10.0.0.0/40]",
        "c.yaml:1:19: trusted_proxies[0]: the prefix length",
    ),
    (
        "tls: {certificate: a.pem}",
        "c.yaml:1:1: tls: TLS needs `certificate` and `key`; `key` is missing",
    ),
    (
        "limits: {calls_per_principal: 0}",
        "limits.calls_per_principal: must be at least 1, or `none` for no limit",
    ),
    (
        "log: {format: xml}",
        "c.yaml:1:15: log.format: must be one of text, json",
    ),
    ("max_body_bytes: 1", "max_body_bytes: must be at least 1KiB"),
    (
        "servers: {a: {command: sh}, a: {command: sh}}",
        "c.yaml:1:29: servers.a: duplicate key, first at line 1",
    ),
    (
        "servers: [",
        "servers[0]: cannot read the file: unclosed bracket '['",
    ),
    ("servers: {a: {command: [sh, ${A}]}}", "needs quotes"),
    ("a: 1\n---\nb: 1", "the file contains several documents"),
    ("- a", "c.yaml:1:1: expected a mapping, found a list"),
    (
        "servers: {a: {command: *x}}",
        "servers.a.command: cannot read the file: while parsing node, found unknown anchor",
    ),
];

/// Problems in pods.
const POD_MISTAKES: &[(&str, &str)] = &[
    (
        "backend: kubernets",
        "c.yaml:1:10: backend: must be one of process, kubernetes; did you mean \"kubernetes\"?",
    ),
    (
        "~backend: docker",
        "c.yaml:4:14: servers.a.backend: must be one of process, kubernetes",
    ),
    (
        "servers: {a: {image: x}}",
        "c.yaml:1:22: servers.a.image: a process needs a `command`",
    ),
    (
        "servers: {a: {url: \"http://h/\", pod: {}}}",
        "servers.a.pod: not allowed for a server with a `url`",
    ),
    (
        "servers: {a: {url: \"http://h/\", backend: kubernetes}}",
        "servers.a.backend: not allowed for a server with a `url`",
    ),
    (
        "backend: kubernetes\nservers: {a: {command: sh, inherit_env: [A]}}",
        "servers.a.inherit_env: a pod does not inherit the gateway's environment",
    ),
    (
        "kubernetes: {name: Me}",
        "kubernetes.name: must be 1 to 63 lower-case letters, digits and '-'",
    ),
    (
        "kubernetes: {kubeconfg: x}",
        "kubernetes.kubeconfg: unknown key \"kubeconfg\"; did you mean \"kubeconfig\"?",
    ),
    (
        "kubernetes: {defaults: {resources: {limits: {memory: 1MB}}}}",
        "kubernetes.defaults.resources.limits.memory: not a valid quantity",
    ),
    (
        "kubernetes: {defaults: {egress: [x]}}",
        "kubernetes.defaults.egress[0]: must be all, public, none",
    ),
    (
        "~pod: {pull_policy: always}",
        "servers.a.pod.pull_policy: must be one of Always, IfNotPresent, Never",
    ),
    (
        "~pod: {pull_secrets: [A_B]}",
        "servers.a.pod.pull_secrets[0]: not a valid object name",
    ),
    (
        "~pod: {pull_secrets: [{server: x, username: y}]}",
        "servers.a.pod.pull_secrets[0]: missing key \"password\"",
    ),
    (
        "~pod: {resources: {request: {cpu: 1}}}",
        "servers.a.pod.resources.request: unknown key \"request\"; did you mean \"requests\"?",
    ),
    (
        "~pod: {env_from: [{secret: a, config_map: b}]}",
        "servers.a.pod.env_from[0]: needs one of `secret` and `config_map`",
    ),
    (
        "~pod: {node_selector: {a b: c}}",
        "servers.a.pod.node_selector.\"a b\": not a valid label key",
    ),
    (
        "~pod: {tolerations: [x]}",
        "servers.a.pod.tolerations[0]: expected a mapping",
    ),
    (
        "~pod: {affinity: []}",
        "servers.a.pod.affinity: expected a mapping",
    ),
    (
        "~pod: {volumes: [{name: a, mount_path: b, source: {emptyDir: {}}}]}",
        "servers.a.pod.volumes[0].mount_path: must be an absolute path in the container, without ':'",
    ),
    (
        "~pod: {volumes: [{name: a, mount_path: /b, source: {}}]}",
        "servers.a.pod.volumes[0].source: must have one key, e.g. `configMap` or `persistentVolumeClaim`",
    ),
    (
        "~pod: {security: {run_as_user: 0}}",
        "servers.a.pod.security.run_as_user: 0 is root",
    ),
    (
        "~pod: {security: {capabilities: [CAP_SYS_ADMIN]}}",
        "servers.a.pod.security.capabilities[0]: a capability is written without CAP_, e.g. NET_BIND_SERVICE",
    ),
    (
        "~pod: {probes: {ready: {}}}",
        "servers.a.pod.probes.ready: unknown key",
    ),
    (
        "~pod: {template_patch: x}",
        "servers.a.pod.template_patch: must be a mapping (a merge patch) or a list (a JSON patch)",
    ),
    (
        "~pod: {template_patch: [{op: add}]}",
        "servers.a.pod.template_patch[0]: an operation",
    ),
];

const SERVER: &str = "servers:\n  a:\n    command: [sh]\n    ";

#[test]
fn each_mistake_is_reported_at_its_position() {
    let mut failed = Vec::new();
    for (text, says) in MISTAKES.iter().chain(POD_MISTAKES) {
        let text = text
            .strip_prefix('~')
            .map_or_else(|| (*text).to_owned(), |rest| format!("{SERVER}{rest}\n"));
        let problems = bad(&text);
        if problems.len() != 1 || !problems[0].contains(says) {
            failed.push(format!("{text}\n  wanted {says}\n  got {problems:#?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn all_mistakes_are_reported_together() {
    let text = "
servers:
  a:
    command: [sh]
    timeout: 5
    unknown: 1
    era: no
  b:
    url: nowhere
    headers: {A: '${NOT_SET}'}
  C:
    command: sh
gateways:
  g: {servers: [a, d], tool_names: both, listed: all}
  server-card: {}
listen: x
";
    let problems = bad(text);
    let keys = [
        "a.timeout",
        "a.unknown",
        "a.era",
        "b.url",
        "b.headers.A",
        "servers.C",
        "g.servers[1]",
        "g.tool_names",
        "g.listed",
        "gateways.server-card",
        "listen",
    ];
    for key in keys {
        assert_eq!(
            problems
                .iter()
                .filter(|problem| problem.contains(key))
                .count(),
            1,
            "{key}: {problems:#?}"
        );
    }
    assert_eq!(problems.len(), keys.len(), "{problems:#?}");
}

#[test]
fn broken_file_does_not_hide_problems_in_another() {
    let problems = load_as(&[
        ("a.yaml", "servers: ["),
        ("b.yaml", "x: 1"),
        ("c.json", "{\"listen\": 1}"),
    ]);
    let problems = problems.unwrap_err().to_string();
    for file in ["a.yaml:", "b.yaml:1:1:", "c.json:1:12:"] {
        assert!(problems.contains(file), "{problems}");
    }
}

#[test]
fn a_missing_file_is_a_problem() {
    let missing = std::path::PathBuf::from("/does/not/exist.yaml");
    let problems = super::super::load(&[missing], &super::options()).unwrap_err();
    assert!(
        problems
            .to_string()
            .contains("/does/not/exist.yaml: cannot read the file")
    );
    let error = crate::Error::from(problems);
    assert_eq!(error.kind(), crate::ErrorKind::Config);
}
