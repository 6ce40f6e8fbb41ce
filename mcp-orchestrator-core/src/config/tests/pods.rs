//! Servers in pods: keys, defaults, and the choice of backend.

use std::path::PathBuf;

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{good, inside, options};
use crate::config::{BackendKind, BackendOptions, LoadOptions, Settings, load_texts};
use crate::id::ServerId;
use crate::seal::StateKey;
use crate::server::{
    Container, Egress, EnvSource, Launch, Program, PullPolicy, PullSecret, ServerSpec,
    TemplatePatch,
};

const ALL: &str = r#"
backend: kubernetes
kubernetes:
  kubeconfig: kube.yaml
  context: prod
  namespace: mcp
  name: team-a
  base_image: example.com/base:1
  gateway: {app: gw}
  defaults:
    resources: {requests: {cpu: 10m, memory: 1Mi}, limits: {memory: 2Mi}}
    node_selector: {pool: mcp, disk: hdd}
    tolerations: [{key: all, operator: Exists}]
    pull_secrets: [for-all]
    egress: public
servers:
  web:
    image: example.com/web:1
    args: [--port, "${PORT}", "${TOKEN}"]
    type: http
    egress: none
    pod:
      pull_policy: IfNotPresent
      pull_secrets:
        - {server: ghcr.io, username: me, password: "${TOKEN}"}
      resources: {requests: {cpu: 1}}
      env_from:
        - {secret: a, prefix: A_}
        - {config_map: b, optional: true}
      node_selector: {disk: ssd}
      tolerations: [{key: own, tolerationSeconds: 30, value: "30"}]
      affinity: {nodeAffinity: {}}
      service_account: runner
      volumes:
        - {name: data, mount_path: /data, read_only: true, source: {persistentVolumeClaim: {claimName: d}}}
      security: {run_as_user: 1000, run_as_group: 1000, writable_root: true, capabilities: [CHOWN]}
      probes: {readiness: {httpGet: {path: /healthz, port: 8080}}}
      service: true
      recreate: true
      template_patch: {spec: {priorityClassName: high}}
  tool:
    command: [npx, -y, tool]
    pod:
      template_patch: [{op: add, path: /spec/priority, value: 1}]
  local:
    command: [sh]
    backend: process
"#;

fn load(text: &str, options: &LoadOptions) -> Result<Settings, String> {
    let texts = [(PathBuf::from("/etc/mcp/c.yaml"), text.to_owned())];
    let loaded = load_texts(&texts, options).map_err(|problems| problems.to_string())?;
    Ok(loaded.settings)
}

fn server(name: &str) -> ServerSpec {
    let settings = good(ALL).settings;
    (**settings.server(&ServerId::new(name).unwrap()).unwrap()).clone()
}

fn program(spec: &ServerSpec) -> &Program {
    match &spec.launch {
        Launch::Program(program) => program,
        Launch::Remote(_) => panic!("{spec:?}"),
    }
}

#[test]
fn every_pod_key_is_applied() {
    let web = server("web");
    let program = program(&web);
    assert_eq!(program.args[1].expose(), "${PORT}");
    assert!(program.args[2].is_secret() && program.command.is_none());
    let pod = &program.container;
    assert_eq!(pod.pull_policy, Some(PullPolicy::IfNotPresent));
    let PullSecret::Registry {
        server, password, ..
    } = &pod.pull_secrets[0]
    else {
        panic!("{pod:?}")
    };
    assert_eq!(
        (&**server, password.expose_secret()),
        ("ghcr.io", "canary-token")
    );
    assert!(!format!("{pod:?}").contains("canary"));
    assert_eq!(pod.env_from[0].source, EnvSource::Secret("a".into()));
    assert_eq!(pod.env_from[0].prefix.as_deref(), Some("A_"));
    assert!(pod.env_from[1].optional);
    let own = json!({"key": "own", "tolerationSeconds": 30, "value": "30"});
    assert_eq!(
        pod.tolerations[0], own,
        "quotes make a text, no quotes a number"
    );
    assert_eq!(pod.affinity, Some(json!({"nodeAffinity": {}})));
    assert_eq!(pod.service_account.as_deref(), Some("runner"));
    assert!(pod.volumes[0].read_only);
    assert_eq!(
        pod.volumes[0].source["persistentVolumeClaim"]["claimName"],
        "d"
    );
    assert_eq!(pod.security.run_as_user, Some(1000));
    assert!(pod.security.writable_root && !pod.security.allow_root);
    assert_eq!(pod.security.capabilities, ["CHOWN"]);
    let readiness = pod.probes.readiness.as_ref().unwrap();
    assert_eq!(readiness["httpGet"]["port"], 8080);
    assert!(pod.service && pod.recreate);
    let patch = json!({"spec": {"priorityClassName": "high"}});
    assert_eq!(pod.template_patch, Some(TemplatePatch::Merge(patch)));
    let tool = server_pod("tool");
    assert!(matches!(tool.template_patch, Some(TemplatePatch::Json(_))));
}

fn server_pod(name: &str) -> Container {
    (*program(&server(name)).container).clone()
}

#[test]
fn pod_inherits_defaults_for_unset_keys() {
    let web = server_pod("web");
    assert_eq!(web.resources.requests["cpu"], "1");
    assert_eq!(web.resources.requests["memory"], "1Mi");
    assert_eq!(web.resources.limits["memory"], "2Mi");
    assert_eq!(
        (&*web.node_selector["disk"], &*web.node_selector["pool"]),
        ("ssd", "mcp")
    );
    assert_eq!((web.tolerations.len(), web.pull_secrets.len()), (2, 2));
    assert_eq!(server("web").egress, Egress::None);
    assert_eq!(server("tool").egress, Egress::Public);
    let tool = server("tool");
    assert_eq!(program(&tool).image.as_deref(), Some("example.com/base:1"));
    let local = server("local");
    let process = program(&local);
    assert_eq!(
        (process.image.as_deref(), local.egress.clone()),
        (None, Egress::All)
    );
    assert!(process.container.node_selector.is_empty());
}

#[test]
fn flags_override_the_cluster_configured_in_the_file() {
    let settings = load(ALL, &options()).unwrap();
    let cluster = settings.backends.kubernetes.clone().unwrap();
    assert_eq!(
        cluster.kubeconfig,
        Some(PathBuf::from("/etc/mcp/kube.yaml"))
    );
    assert_eq!(
        (cluster.context.as_deref(), &*cluster.name),
        (Some("prod"), "team-a")
    );
    assert_eq!(cluster.gateway["app"], "gw");
    assert_eq!(settings.backends.default, BackendKind::Kubernetes);
    let flags = BackendOptions {
        backend: Some(BackendKind::Process),
        context: Some("kind".into()),
        namespace: Some("dev".into()),
        ..BackendOptions::default()
    };
    let on_processes = LoadOptions {
        backends: flags,
        ..options()
    };
    let text = ALL.replace(
        "image: example.com/web:1",
        "command: [sh]\n    backend: kubernetes",
    );
    let text = text.replace("args: [--port, \"${PORT}\", \"${TOKEN}\"]", "");
    let settings = load(&text, &on_processes).unwrap();
    assert_eq!(settings.backends.default, BackendKind::Process);
    let cluster = settings.backends.kubernetes.unwrap();
    assert_eq!(
        (cluster.context.as_deref(), cluster.namespace.as_deref()),
        (Some("kind"), Some("dev"))
    );
}

#[test]
fn registered_backend_is_selected_by_its_name() {
    let text = "backend: lab\nservers: {a: {command: x}, b: {command: x, backend: lab-2}, c: {image: i, backend: lab}}";
    let problems = load(text, &LoadOptions::default()).unwrap_err();
    assert!(
        problems.contains("backend: must be one of process, kubernetes"),
        "{problems}"
    );
    let backend = |name: &str| crate::id::BackendName::new(name).unwrap();
    let options = LoadOptions {
        state_dir: Some("/state".into()),
        backends: BackendOptions {
            registered: vec![backend("lab"), backend("lab-2")],
            ..BackendOptions::default()
        },
        ..LoadOptions::default()
    };
    let settings = load(text, &options).unwrap();
    assert_eq!(settings.backends.default.as_str(), "lab");
    let named: Vec<_> = settings
        .servers
        .iter()
        .map(|server| server.backend.as_ref().map(ToString::to_string))
        .collect();
    assert_eq!(
        named,
        [None, Some("lab-2".to_owned()), Some("lab".to_owned())]
    );
    let misspelt = load(&text.replace("lab-2", "lab2"), &options).unwrap_err();
    assert!(
        misspelt.contains("one of process, kubernetes, lab, lab-2; did you mean \"lab-2\"?"),
        "{misspelt}"
    );
}

#[test]
fn cluster_is_used_only_if_a_server_runs_in_it() {
    let settings = good("kubernetes: {namespace: x}\nservers: {a: {command: sh}}").settings;
    assert_eq!(settings.backends.default, BackendKind::Process);
    assert_eq!(settings.backends.kubernetes, None);
}

#[test]
fn inside_a_cluster_processes_must_be_allowed() {
    let settings = load("servers: {a: {command: sh}}", &inside()).unwrap();
    assert_eq!(settings.backends.default, BackendKind::Kubernetes);
    assert!(!settings.backends.processes && settings.backends.kubernetes.is_some());
    for text in [
        "servers: {a: {command: sh, backend: process}}",
        "backend: process\nservers: {a: {command: sh}}",
    ] {
        let problems = load(text, &inside()).unwrap_err();
        assert!(
            problems.contains("inside a cluster no process is started"),
            "{problems}"
        );
        let allowed = load(&format!("allow_processes: true\n{text}"), &inside()).unwrap();
        assert!(allowed.backends.processes);
    }
}

#[test]
fn pod_paths_refer_to_the_container() {
    let text = "backend: kubernetes\nservers: {a: {command: [./run], cwd: /no/such/folder}}";
    let loaded = good(text);
    let Launch::Program(program) = &loaded.settings.servers[0].launch else {
        panic!("{loaded:?}")
    };
    let command = program.command.as_ref().unwrap();
    assert_eq!(command.program, "./run");
    assert_eq!(command.cwd, Some(PathBuf::from("/no/such/folder")));
    assert!(loaded.notices.is_empty(), "{:?}", loaded.notices);
}

#[test]
fn pod_defaults_are_part_of_every_server_digest() {
    let key = StateKey::new([7; 32]);
    let digest = |more: &str, server: &str| {
        let text = format!(
            "backend: kubernetes\nkubernetes:\n  name: x\n{more}\nservers:\n  one:\n    command: [tool]\n{server}"
        );
        let settings = good(&text).settings;
        settings.servers[0].digest(&key)
    };
    let plain = digest("", "");
    for more in [
        "  base_image: example.com/base:2",
        "  defaults: {resources: {requests: {cpu: 20m}}}",
        "  defaults: {resources: {limits: {memory: 2Gi}}}",
        "  defaults: {node_selector: {pool: mcp}}",
        "  defaults: {tolerations: [{key: a, operator: Exists}]}",
        "  defaults: {pull_secrets: [registry]}",
        "  defaults: {egress: none}",
    ] {
        assert_ne!(digest(more, ""), plain, "{more}");
    }
    // The server's own value takes precedence, so the default changes nothing.
    let own = "    egress: public\n";
    assert_eq!(digest("  defaults: {egress: none}", own), digest("", own));
}
