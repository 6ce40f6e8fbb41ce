//! Tests of the objects that servers are rendered into.

use std::sync::Arc;

use base64::Engine as _;

use super::*;
use crate::credential::{Credential, Owner, Revision};
use crate::runtime::{Scope, SpecDigest};
use crate::seal::StateKey;
use crate::server::{
    CommandLine, Container, CredentialSlot, Egress, EnvFrom, EnvSource, Injection, PortOwner,
    PullSecret, SlotForm, TemplatePatch, VolumeEntry,
};
use crate::value::Text;

const CANARY: &str = "canary-5f3a";

fn program(change: impl FnOnce(&mut Program)) -> ServerSpec {
    let mut program = Program {
        image: Some("example.com/git:1".into()),
        ..Program::default()
    };
    change(&mut program);
    ServerSpec::new(ServerId::new("git").unwrap(), Launch::Program(program))
}

fn pod(change: impl FnOnce(&mut Container)) -> ServerSpec {
    program(|program| change(&mut program.container))
}

fn slot(name: &str, inject: Injection) -> CredentialSlot {
    CredentialSlot {
        name: SlotName::new(name).unwrap(),
        description: None,
        required: true,
        inject,
        form: SlotForm::default(),
    }
}

fn render(server: ServerSpec, inside: bool) -> Result<Objects, Failed> {
    let mut credential = Credential::none();
    for slot in &server.slots {
        credential.values.insert(slot.name.clone(), CANARY.into());
    }
    let key = InstanceKey::new(
        server.id.clone(),
        Owner::Organization,
        Revision::none(),
        Scope::Shared,
        SpecDigest::from_text("00"),
    );
    let launch = LaunchSpec {
        server: Arc::new(server),
        credential: Arc::new(credential),
    };
    let options = KubernetesOptions::new("test", Arc::new(StateKey::new([7; 32])));
    let owner = json!({ "kind": "ConfigMap", "name": "test" });
    Rendering::new(&key, &launch, &options, inside, &owner)?.objects()
}

fn spec_of(objects: &Objects) -> &Value {
    &objects.deployment["spec"]["template"]["spec"]
}

fn container_of(objects: &Objects) -> &Value {
    &spec_of(objects)["containers"][0]
}

#[test]
fn pod_is_restricted_unless_its_server_opts_out() {
    let objects = render(pod(|_| {}), false).unwrap();
    let (spec, container) = (spec_of(&objects), container_of(&objects));
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        spec["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["enableServiceLinks"], false);
    assert_eq!(spec["terminationGracePeriodSeconds"], 3);
    let security = &container["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"], json!({ "drop": ["ALL"] }));
    assert_eq!(container["stdin"], true);
    assert_eq!(container["stdinOnce"], false);
    assert_eq!(container["tty"], false);
    assert_eq!(container.get("command"), None, "the image's own");
    let mounts = container["volumeMounts"].as_array().unwrap();
    let paths: Vec<_> = mounts.iter().map(|mount| &mount["mountPath"]).collect();
    assert_eq!(paths, ["/tmp", "/home/mcp"]);

    let open = pod(|container| {
        container.security.allow_root = true;
        container.security.writable_root = true;
        container.security.capabilities.push("NET_RAW".into());
        container.service_account = Some("reader".into());
    });
    let objects = render(open, false).unwrap();
    let (spec, container) = (spec_of(&objects), container_of(&objects));
    assert_eq!(spec["securityContext"]["runAsNonRoot"], false);
    assert_eq!(spec["serviceAccountName"], "reader");
    assert_eq!(spec["automountServiceAccountToken"], true);
    assert_eq!(
        container["securityContext"]["readOnlyRootFilesystem"],
        false
    );
    assert_eq!(
        container["securityContext"]["capabilities"]["add"],
        json!(["NET_RAW"])
    );
    assert_eq!(container["env"], json!([]), "its home is the image's");
}

#[test]
fn secret_values_appear_only_in_the_secret_object() {
    let mut server = program(|program| {
        program.command = Some(CommandLine {
            program: "serve".into(),
            args: vec!["--key".into(), Text::secret(CANARY), "$(HOME) $$".into()],
            cwd: None,
        });
        program.container.pull_secrets.push(PullSecret::Registry {
            server: "ghcr.io".into(),
            username: "ann".into(),
            password: CANARY.into(),
        });
    });
    server.env.insert("PLAIN".into(), "a$(b)".into());
    server.env.insert("HIDDEN".into(), Text::secret(CANARY));
    server.slots = vec![
        slot("token", Injection::Env("TOKEN".into())),
        slot(
            "file",
            Injection::File {
                name: "key.pem".into(),
                path_env: Some("KEY_FILE".into()),
            },
        ),
    ];
    let objects = render(server, false).unwrap();
    for open in [&objects.deployment, &objects.policy] {
        assert!(!open.to_string().contains(CANARY));
    }
    let data = &objects.secret.as_ref().unwrap()["data"];
    let encoded = base64::engine::general_purpose::STANDARD.encode(CANARY);
    for key in ["env-HIDDEN", "env-TOKEN", "arg-1", "file-key.pem"] {
        assert_eq!(data[key], *encoded, "{key}");
    }
    let container = container_of(&objects);
    let args = &container["args"];
    assert_eq!(args[1], "$(MCP_ORCHESTRATOR_ARG_1)");
    assert_eq!(args[2], "$$(HOME) $$$$", "a dollar stays one");
    let env = container["env"].as_array().unwrap();
    let of = |name: &str| env.iter().find(|entry| entry["name"] == name).unwrap();
    assert_eq!(of("PLAIN")["value"], "a$$(b)");
    assert_eq!(of("TOKEN")["valueFrom"]["secretKeyRef"]["key"], "env-TOKEN");
    let file = "/var/run/mcp-orchestrator/secrets/key.pem";
    assert_eq!(of("KEY_FILE")["value"], file);
    let volumes = spec_of(&objects)["volumes"].as_array().unwrap();
    let items = json!([{ "key": "file-key.pem", "path": "key.pem" }]);
    assert_eq!(volumes.last().unwrap()["secret"]["items"], items);
    let pull = objects.pull.unwrap();
    assert_eq!(pull["type"], "kubernetes.io/dockerconfigjson");
    let name = &pull["metadata"]["name"];
    assert_eq!(spec_of_name(&objects.deployment), name);
}

fn spec_of_name(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["imagePullSecrets"][0]["name"]
}

#[test]
fn http_server_port_is_reachable_only_from_the_gateway() {
    let http = |port| {
        program(move |program| {
            program.transport = ProgramTransport::Http {
                port,
                path: "/mcp".into(),
                owner: PortOwner::Server,
            };
            program.command = Some(CommandLine {
                program: "serve".into(),
                args: vec!["--port=${PORT}".into()],
                cwd: Some("/srv".into()),
            });
            program.container.service = true;
        })
    };
    let objects = render(http(None), true).unwrap();
    let container = container_of(&objects);
    assert_eq!(container["args"][0], "--port=8080");
    assert_eq!(container["workingDir"], "/srv");
    assert_eq!(container["stdin"], false);
    assert_eq!(container["ports"][0]["containerPort"], 8080);
    assert_eq!(container["startupProbe"]["tcpSocket"]["port"], 8080);
    assert_eq!(container["startupProbe"]["failureThreshold"], 120);
    assert_eq!(container["readinessProbe"]["tcpSocket"]["port"], 8080);
    let ingress = &objects.policy["spec"]["ingress"];
    assert_eq!(ingress[0]["ports"][0]["port"], 8080);
    let from = &ingress[0]["from"][0]["podSelector"]["matchLabels"];
    assert_eq!(from["app.kubernetes.io/component"], "gateway");
    assert_eq!(objects.service.unwrap()["spec"]["ports"][0]["port"], 8080);

    let outside = render(http(Some(9000)), false).unwrap();
    assert_eq!(container_of(&outside)["ports"][0]["containerPort"], 9000);
    assert_eq!(outside.policy["spec"]["ingress"], json!([]));
    assert!(render(pod(|_| {}), true).unwrap().service.is_none());
}

#[test]
fn user_settings_are_copied_into_the_pod() {
    let server = pod(|container| {
        container.tolerations = vec![json!({ "key": "gpu", "operator": "Exists" })];
        container.affinity = Some(json!({ "nodeAffinity": {} }));
        container.node_selector.insert("disk".into(), "ssd".into());
        container.env_from.push(EnvFrom {
            source: EnvSource::ConfigMap("shared".into()),
            prefix: Some("S_".into()),
            optional: true,
        });
        container.volumes.push(VolumeEntry {
            name: "data".into(),
            mount_path: "/tmp".into(),
            read_only: false,
            source: json!({ "persistentVolumeClaim": { "claimName": "data" } }),
        });
        container.template_patch = Some(TemplatePatch::Merge(json!({
            "spec": { "priorityClassName": "high" },
        })));
    });
    let objects = render(server, false).unwrap();
    let spec = spec_of(&objects);
    assert_eq!(spec["tolerations"][0]["key"], "gpu");
    assert_eq!(spec["nodeSelector"]["disk"], "ssd");
    assert_eq!(spec["priorityClassName"], "high");
    let env_from = &container_of(&objects)["envFrom"][0];
    assert_eq!(
        env_from["configMapRef"],
        json!({ "name": "shared", "optional": true })
    );
    let mounts = container_of(&objects)["volumeMounts"].as_array().unwrap();
    let at_tmp = mounts.iter().filter(|mount| mount["mountPath"] == "/tmp");
    assert_eq!(
        at_tmp.map(|mount| &mount["name"]).collect::<Vec<_>>(),
        ["data"]
    );
}

#[test]
fn unrenderable_setting_is_reported_by_its_key() {
    let said = |server| {
        render(server, false)
            .err()
            .unwrap()
            .of(&ServerId::new("git").unwrap())
            .to_string()
    };
    let toleration = pod(|container| container.tolerations = vec![json!({ "key": 1 })]);
    let text = said(toleration);
    assert!(
        text.starts_with("its entry cannot become a pod: `tolerations`"),
        "{text}"
    );
    let probe = pod(|container| container.probes.liveness = Some(json!("tcp")));
    assert!(said(probe).contains("`probes.liveness`"));
    let mut egress = pod(|_| {});
    egress.egress = Egress::Only(vec!["example.com".into()]);
    assert!(said(egress).contains("`egress`"));
    let mut file = pod(|_| {});
    file.slots.push(slot(
        "key",
        Injection::File {
            name: "a/b".into(),
            path_env: None,
        },
    ));
    assert!(said(file).contains("slot `key`"));
    let patch = pod(|container| {
        container.template_patch =
            Some(TemplatePatch::Merge(json!({ "metadata": { "name": "x" } })));
    });
    assert!(said(patch).contains("metadata.name"));
}

#[test]
fn image_entrypoint_receives_the_arguments() {
    let server = program(|program| program.args = vec!["--key".into(), Text::secret(CANARY)]);
    let objects = render(server, false).unwrap();
    let container = container_of(&objects);
    assert_eq!(container.get("command"), None);
    let args = json!(["--key", "$(MCP_ORCHESTRATOR_ARG_1)"]);
    assert_eq!(container["args"], args);
    assert!(!objects.deployment.to_string().contains(CANARY));
}

#[test]
fn command_without_an_image_runs_in_the_base_image() {
    let server = ServerSpec::command(ServerId::new("git").unwrap(), "uvx", ["mcp-server-git"]);
    let objects = render(server, false).unwrap();
    assert_eq!(
        container_of(&objects)["image"],
        KubernetesOptions::BASE_IMAGE
    );
    assert_eq!(container_of(&objects)["command"], json!(["uvx"]));
    assert!(objects.secret.is_none());
}
