//! Resolves a server's pod.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::config::resolve::check;
use crate::config::resolve::check::kubernetes;
use crate::config::resolve::scope::Scope;
use crate::config::schema::pod::{
    EnvFromEntry, PodEntry, ProbesEntry, RegistryEntry, ResourcesEntry, SecurityEntry,
    VolumeEntryTyped,
};
use crate::config::schema::value::{TextOr, Typed};
use crate::server::{
    Container, EnvFrom, EnvSource, PodSecurity, Probes, PullSecret, Resources, TemplatePatch,
    VolumeEntry,
};

/// Resolves a pod entry; invalid values are reported and left out.
pub(crate) fn container(scope: &mut Scope<'_>, entry: &PodEntry) -> Container {
    Container {
        pull_policy: entry.pull_policy.map(Into::into),
        pull_secrets: entry
            .pull_secrets
            .as_ref()
            .map(|secrets| pull_secrets(scope, secrets))
            .unwrap_or_default(),
        resources: entry
            .resources
            .as_ref()
            .map(|entry| resources(scope, entry))
            .unwrap_or_default(),
        env_from: env_from(scope, entry.env_from.as_deref().unwrap_or_default()),
        node_selector: entry
            .node_selector
            .as_ref()
            .map(|entry| labels(scope, "node_selector", entry))
            .unwrap_or_default(),
        tolerations: entry
            .tolerations
            .as_ref()
            .map(|entry| mappings(scope, "tolerations", entry))
            .unwrap_or_default(),
        affinity: affinity(scope, entry.affinity.as_ref()),
        service_account: named(scope, "service_account", entry.service_account.as_deref()),
        volumes: volumes(scope, entry.volumes.as_deref().unwrap_or_default()),
        security: security(scope, entry.security.as_ref()),
        probes: probes(entry.probes.as_ref()),
        service: entry.service.unwrap_or_default(),
        recreate: entry.recreate.unwrap_or_default(),
        template_patch: patch(scope, entry.template_patch.as_ref()),
    }
}

/// Resolves the Secrets used to pull images.
pub(crate) fn pull_secrets(
    scope: &mut Scope<'_>,
    entries: &[TextOr<RegistryEntry>],
) -> Vec<PullSecret> {
    let mut secrets = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = scope.path.key("pull_secrets").index(index);
        match entry {
            TextOr::Text(name) => {
                let Some(name) = scope.text(&path, name, None) else {
                    continue;
                };
                let name = name.expose().to_owned();
                if scope.check(&path, kubernetes::object_name(&name)).is_some() {
                    secrets.push(PullSecret::Existing(name));
                }
            }
            TextOr::Other(registry) => {
                let mut scope = scope.below(path);
                let server = scope.plain("server", Some(&registry.server));
                let username = scope.plain("username", Some(&registry.username));
                let password = scope.plain("password", Some(&registry.password));
                if let (Some(server), Some(username), Some(password)) = (server, username, password)
                {
                    secrets.push(PullSecret::Registry {
                        server,
                        username,
                        password: password.into(),
                    });
                }
            }
        }
    }
    secrets
}

/// Resolves the requests and limits of a container.
pub(crate) fn resources(scope: &mut Scope<'_>, entry: &ResourcesEntry) -> Resources {
    let path = scope.path.key("resources");
    let mut scope = scope.below(path);
    Resources {
        requests: quantities(&mut scope, "requests", entry.requests.as_ref()),
        limits: quantities(&mut scope, "limits", entry.limits.as_ref()),
    }
}

fn quantities(
    scope: &mut Scope<'_>,
    key: &str,
    entries: Option<&BTreeMap<String, Typed>>,
) -> BTreeMap<String, String> {
    texts(scope, key, entries, kubernetes::quantity)
}

/// Resolves labels and their values.
pub(crate) fn labels(
    scope: &mut Scope<'_>,
    key: &str,
    entries: &BTreeMap<String, Typed>,
) -> BTreeMap<String, String> {
    texts(scope, key, Some(entries), kubernetes::label_value)
}

fn texts(
    scope: &mut Scope<'_>,
    key: &str,
    entries: Option<&BTreeMap<String, Typed>>,
    rule: fn(&str) -> Result<(), String>,
) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for (name, typed) in entries.into_iter().flatten() {
        let path = scope.path.key(key).key(name);
        if let Err(message) = kubernetes::label_key(name) {
            scope.problem_at_key(&path, message);
            continue;
        }
        let Some(text) = scope.text(&path, typed, None) else {
            continue;
        };
        if scope.check(&path, rule(text.expose())).is_some() {
            known.insert(name.clone(), text.expose().to_owned());
        }
    }
    known
}

/// Checks that Kubernetes structures are mappings.
pub(crate) fn mappings(scope: &mut Scope<'_>, key: &str, entries: &[Value]) -> Vec<Value> {
    for (index, entry) in entries.iter().enumerate() {
        if !entry.is_object() {
            let path = scope.path.key(key).index(index);
            scope.problem_at(&path, "expected a mapping, as in a manifest");
        }
    }
    entries.to_vec()
}

fn affinity(scope: &mut Scope<'_>, entry: Option<&Value>) -> Option<Value> {
    if entry.is_some_and(|entry| !entry.is_object()) {
        scope.problem("affinity", "expected a mapping, as in a manifest");
    }
    entry.cloned()
}

fn named(scope: &mut Scope<'_>, key: &str, name: Option<&str>) -> Option<String> {
    let path = scope.path.key(key);
    scope.check(&path, kubernetes::object_name(name?));
    name.map(str::to_owned)
}

fn env_from(scope: &mut Scope<'_>, entries: &[EnvFromEntry]) -> Vec<EnvFrom> {
    let mut sources = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = scope.path.key("env_from").index(index);
        let mut scope = scope.below(path);
        let source = match (&entry.secret, &entry.config_map) {
            (Some(_), None) => {
                named(&mut scope, "secret", entry.secret.as_deref()).map(EnvSource::Secret)
            }
            (None, Some(_)) => named(&mut scope, "config_map", entry.config_map.as_deref())
                .map(EnvSource::ConfigMap),
            _ => {
                scope.problem("", "needs one of `secret` and `config_map`");
                None
            }
        };
        if let Some(prefix) = &entry.prefix {
            let path = scope.path.key("prefix");
            scope.check(&path, check::env_name(prefix));
        }
        sources.extend(source.map(|source| EnvFrom {
            source,
            prefix: entry.prefix.clone(),
            optional: entry.optional.unwrap_or_default(),
        }));
    }
    sources
}

fn volumes(scope: &mut Scope<'_>, entries: &[VolumeEntryTyped]) -> Vec<VolumeEntry> {
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    let mut volumes = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = scope.path.key("volumes").index(index);
        let mut scope = scope.below(path);
        let at = scope.path.key("name");
        scope.check(&at, kubernetes::label_name(&entry.name));
        if !names.insert(&entry.name) {
            scope.problem("name", "another volume has this name already");
        }
        let at = scope.path.key("mount_path");
        scope.check(&at, kubernetes::mount_path(&entry.mount_path));
        if !paths.insert(&entry.mount_path) {
            scope.problem("mount_path", "another volume is mounted there");
        }
        if entry.source.len() != 1 {
            scope.problem(
                "source",
                "must have one key, e.g. `configMap` or `persistentVolumeClaim`",
            );
        }
        volumes.push(VolumeEntry {
            name: entry.name.clone(),
            mount_path: entry.mount_path.clone(),
            read_only: entry.read_only.unwrap_or_default(),
            source: object(&entry.source),
        });
    }
    volumes
}

fn security(scope: &mut Scope<'_>, entry: Option<&SecurityEntry>) -> PodSecurity {
    let Some(entry) = entry else {
        return PodSecurity::default();
    };
    let path = scope.path.key("security");
    let mut scope = scope.below(path);
    let allow_root = entry.allow_root.unwrap_or_default();
    if entry.run_as_user == Some(0) && !allow_root {
        scope.problem(
            "run_as_user",
            "0 is root; set `allow_root: true` to allow it",
        );
    }
    for (index, name) in entry.capabilities.iter().flatten().enumerate() {
        let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.starts_with("CAP_") || !name.bytes().all(fits) {
            let path = scope.path.key("capabilities").index(index);
            scope.problem_at(
                &path,
                "a capability is written without CAP_, e.g. NET_BIND_SERVICE",
            );
        }
    }
    PodSecurity {
        run_as_user: entry.run_as_user.map(i64::from),
        run_as_group: entry.run_as_group.map(i64::from),
        allow_root,
        allow_privilege_escalation: entry.allow_privilege_escalation.unwrap_or_default(),
        writable_root: entry.writable_root.unwrap_or_default(),
        capabilities: entry.capabilities.clone().unwrap_or_default(),
    }
}

fn probes(entry: Option<&ProbesEntry>) -> Probes {
    let Some(entry) = entry else {
        return Probes::default();
    };
    Probes {
        startup: entry.startup.as_ref().map(object),
        readiness: entry.readiness.as_ref().map(object),
        liveness: entry.liveness.as_ref().map(object),
    }
}

fn patch(scope: &mut Scope<'_>, entry: Option<&Value>) -> Option<TemplatePatch> {
    match entry? {
        patch @ Value::Object(_) => Some(TemplatePatch::Merge(patch.clone())),
        patch @ Value::Array(operations) => {
            for (index, operation) in operations.iter().enumerate() {
                if operation.get("op").is_none() || operation.get("path").is_none() {
                    let path = scope.path.key("template_patch").index(index);
                    scope.problem_at(&path, "an operation of a JSON patch has `op` and `path`");
                }
            }
            Some(TemplatePatch::Json(patch.clone()))
        }
        _ => {
            let text = "must be a mapping (a merge patch) or a list (a JSON patch)";
            scope.problem("template_patch", text);
            None
        }
    }
}

fn object(entries: &BTreeMap<String, Value>) -> Value {
    let entries = entries.iter();
    Value::Object(
        entries
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )
}
