//! The pod of an instance: a single container, restricted unless the server's settings relax it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1;
use serde_json::{Map, Value, json};

use super::error::Failed;
use super::typed::checked;
use super::values::with_port;
use super::values::{Entry, FILES, argument_name};
use super::{Rendering, resources, volumes};
use crate::runtime::kubernetes::names::{self, CONTAINER};
use crate::server::{Container, EnvSource, Injection, PodSecurity, PullPolicy, PullSecret};
use crate::value::Text;

/// Renders the `spec` of the pod.
pub(super) fn spec(of: &Rendering<'_>) -> Result<Value, Failed> {
    let container = &*of.program.container;
    let (volumes, mounts) = volumes::volumes(of)?;
    let mut spec = json!({
        "containers": [self::container(of, &mounts)?],
        "volumes": volumes,
        "restartPolicy": "Always",
        "enableServiceLinks": false,
        "automountServiceAccountToken": container.service_account.is_some(),
        "terminationGracePeriodSeconds": seconds(of.launch.server.limits.stop_grace),
        "securityContext": pod_security(&container.security),
    });
    if let Some(account) = &container.service_account {
        spec["serviceAccountName"] = json!(account);
    }
    if !container.node_selector.is_empty() {
        spec["nodeSelector"] = json!(container.node_selector);
    }
    if !container.tolerations.is_empty() {
        let tolerations = container.tolerations.iter();
        let checked: Result<Vec<_>, _> = tolerations
            .map(|value| checked::<v1::Toleration>("tolerations", "Toleration", value))
            .collect();
        spec["tolerations"] = Value::Array(checked?);
    }
    if let Some(affinity) = &container.affinity {
        spec["affinity"] = checked::<v1::Affinity>("affinity", "Affinity", affinity)?;
    }
    let pull = pull_secrets(of);
    if !pull.is_empty() {
        spec["imagePullSecrets"] = Value::Array(pull);
    }
    Ok(spec)
}

fn container(of: &Rendering<'_>, mounts: &[Value]) -> Result<Value, Failed> {
    let (program, container) = (of.program, &*of.program.container);
    let image = program.image.as_ref().unwrap_or(&of.options.base_image);
    let stdio = of.port().is_none();
    let mut spec = json!({
        "name": CONTAINER,
        "image": image,
        "env": env(of),
        "resources": resources::resources(&container.resources),
        "securityContext": container_security(&container.security),
        "volumeMounts": mounts,
        // With `stdinOnce`, standard input would be closed when the first client detaches.
        "stdin": stdio,
        "stdinOnce": false,
        "tty": false,
    });
    if let Some(policy) = container.pull_policy {
        spec["imagePullPolicy"] = json!(match policy {
            PullPolicy::Always => "Always",
            PullPolicy::IfNotPresent => "IfNotPresent",
            PullPolicy::Never => "Never",
        });
    }
    if let Some(command) = &program.command {
        spec["command"] = json!([literal(&command.program)]);
        if let Some(cwd) = &command.cwd {
            spec["workingDir"] = json!(cwd.to_string_lossy());
        }
    }
    let args = super::args(program);
    if program.command.is_some() || !args.is_empty() {
        let args = args.iter().enumerate();
        let args: Vec<_> = args.map(|(n, text)| argument(n, text, of.port())).collect();
        spec["args"] = json!(args);
    }
    if !container.env_from.is_empty() {
        spec["envFrom"] = env_from(container);
    }
    if let Some(port) = of.port() {
        spec["ports"] = json!([{ "name": "mcp", "containerPort": port, "protocol": "TCP" }]);
        let tcp = |period: u64, failures: u64| {
            json!({
                "tcpSocket": { "port": port },
                "periodSeconds": period,
                "timeoutSeconds": 1,
                "failureThreshold": failures,
            })
        };
        spec["startupProbe"] = tcp(1, seconds(of.launch.server.limits.start_timeout));
        spec["readinessProbe"] = tcp(5, 2);
    }
    let probes = &container.probes;
    for (name, key, probe) in [
        ("startupProbe", "probes.startup", &probes.startup),
        ("readinessProbe", "probes.readiness", &probes.readiness),
        ("livenessProbe", "probes.liveness", &probes.liveness),
    ] {
        if let Some(probe) = probe {
            spec[name] = checked::<v1::Probe>(key, "Probe", probe)?;
        }
    }
    Ok(spec)
}

/// A secret argument is read from the Secret, through an environment variable.
fn argument(place: usize, text: &Text, port: Option<u16>) -> String {
    match text {
        Text::Plain(text) => literal(&with_port(text, port)),
        Text::Secret(_) => format!("$({})", argument_name(place)),
    }
}

/// Escapes `$`, because Kubernetes expands `$(NAME)` and reads `$$` as a single dollar sign.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

fn env(of: &Rendering<'_>) -> Value {
    let (name, container) = (of.key.name(), &*of.program.container);
    let mut env: BTreeMap<String, Value> = BTreeMap::new();
    let plain = |value: &str| json!({ "value": literal(value) });
    let secret = |entry: Entry<'_>| json!({ "valueFrom": { "secretKeyRef": { "name": name, "key": entry.key() } } });
    if !container.security.writable_root {
        env.insert("HOME".into(), plain(volumes::HOME));
    }
    for (variable, text) in &of.launch.server.env {
        let value = match text {
            Text::Plain(text) => plain(text),
            Text::Secret(_) => secret(Entry::Env(variable)),
        };
        env.insert(variable.clone(), value);
    }
    for slot in &of.launch.server.slots {
        if !of.launch.credential.values.contains_key(&slot.name) {
            continue;
        }
        match &slot.inject {
            Injection::Env(variable) => {
                env.insert(variable.clone(), secret(Entry::Env(variable)));
            }
            Injection::File {
                name,
                path_env: Some(variable),
            } => {
                env.insert(variable.clone(), plain(&format!("{FILES}/{name}")));
            }
            Injection::File { path_env: None, .. } | Injection::Header { .. } => {}
        }
    }
    let args = super::args(of.program).iter();
    for (place, _) in args.enumerate().filter(|(_, text)| text.is_secret()) {
        env.insert(argument_name(place), secret(Entry::Arg(place)));
    }
    if let Some(port) = of.port() {
        env.insert("PORT".into(), plain(&port.to_string()));
    }
    let named = env.into_iter().map(|(name, mut value)| {
        value["name"] = json!(name);
        value
    });
    Value::Array(named.collect())
}

fn env_from(container: &Container) -> Value {
    let sources = container.env_from.iter().map(|from| {
        let (kind, name) = match &from.source {
            EnvSource::Secret(name) => ("secretRef", name),
            EnvSource::ConfigMap(name) => ("configMapRef", name),
        };
        let mut entry = json!({ kind: { "name": name, "optional": from.optional } });
        if let Some(prefix) = &from.prefix {
            entry["prefix"] = json!(prefix);
        }
        entry
    });
    Value::Array(sources.collect())
}

fn pull_secrets(of: &Rendering<'_>) -> Vec<Value> {
    let (mut names, mut made) = (Vec::new(), false);
    for secret in &of.program.container.pull_secrets {
        match secret {
            PullSecret::Existing(name) => names.push(json!({ "name": name })),
            PullSecret::Registry { .. } => made = true,
        }
    }
    if made {
        names.push(json!({ "name": names::pull_secret(of.key) }));
    }
    names
}

fn pod_security(security: &PodSecurity) -> Value {
    let mut context = Map::from_iter([
        ("runAsNonRoot".to_owned(), json!(!security.allow_root)),
        (
            "seccompProfile".to_owned(),
            json!({ "type": "RuntimeDefault" }),
        ),
    ]);
    if let Some(user) = security.run_as_user {
        context.insert("runAsUser".into(), json!(user));
    }
    if let Some(group) = security.run_as_group {
        context.insert("runAsGroup".into(), json!(group));
        context.insert("fsGroup".into(), json!(group));
    }
    Value::Object(context)
}

fn container_security(security: &PodSecurity) -> Value {
    let mut capabilities = json!({ "drop": ["ALL"] });
    if !security.capabilities.is_empty() {
        capabilities["add"] = json!(security.capabilities);
    }
    json!({
        "allowPrivilegeEscalation": security.allow_privilege_escalation,
        "readOnlyRootFilesystem": !security.writable_root,
        "capabilities": capabilities,
    })
}

/// Rounds up to whole seconds, at least one and at most one day.
fn seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).clamp(1, 86_400) as u64
}
