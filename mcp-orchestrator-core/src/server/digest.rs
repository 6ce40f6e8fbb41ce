//! A keyed hash of all settings of a server that require a new instance when they change.
//!
//! Every setting has its own label, and a setting added later must be omitted while it has its default. The digest of
//! an existing server then stays the same in a version with additional settings.

use serde_json::{Value, json};

use super::container::{Container, EnvSource, PullSecret, TemplatePatch};
use super::{
    Egress, EraChoice, Injection, Launch, PortOwner, Program, ProgramTransport, Remote, ServerSpec,
};
use crate::id::BackendName;
use crate::seal::{Digest, StateKey};

/// The hashed settings, in order, as `label=value`.
#[derive(Default)]
struct DigestInput(Vec<String>);

impl DigestInput {
    fn say(&mut self, word: &str, value: &str) {
        self.0.push(format!("{word}={value}"));
    }

    fn maybe(&mut self, word: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.say(word, value);
        }
    }

    fn flag(&mut self, word: &str, on: bool) {
        if on {
            self.say(word, "true");
        }
    }

    /// Adds a JSON value; its objects are serialized with sorted keys.
    fn json(&mut self, word: &str, value: Option<&Value>) {
        if let Some(value) = value {
            self.say(word, &value.to_string());
        }
    }
}

impl ServerSpec {
    /// Returns a keyed hash of all settings that require a new instance when they change. Limits, isolation and start
    /// mode are not included. The backend is included if the server names one.
    pub fn digest(&self, key: &StateKey) -> Digest {
        let mut said = DigestInput::default();
        match self.era {
            EraChoice::Auto => {}
            EraChoice::Legacy => said.say("era", "legacy"),
            EraChoice::Modern => said.say("era", "modern"),
        }
        said.maybe("backend", self.backend.as_ref().map(BackendName::as_str));
        egress(&mut said, &self.egress);
        for name in &self.inherit_env {
            said.say("inherit", name);
        }
        match &self.launch {
            Launch::Program(program) => self::program(&mut said, program),
            Launch::Remote(remote) => self::remote(&mut said, remote),
        }
        for (name, value) in &self.env {
            said.say(&format!("env {name}"), value.expose());
        }
        for slot in &self.slots {
            injection(&mut said, slot.name.as_str(), &slot.inject);
        }
        key.digest("server spec", said.0.iter().map(String::as_bytes))
    }
}

fn egress(said: &mut DigestInput, egress: &Egress) {
    match egress {
        Egress::All => {}
        Egress::Public => said.say("egress", "public"),
        Egress::None => said.say("egress", "none"),
        Egress::Only(networks) => {
            said.say("egress", "only");
            for network in networks {
                said.say("egress to", network);
            }
        }
    }
}

fn program(said: &mut DigestInput, program: &Program) {
    said.maybe("image", program.image.as_deref());
    if let ProgramTransport::Http { port, path, owner } = &program.transport {
        said.say("http", path);
        said.flag("any port owner", *owner == PortOwner::Any);
        said.maybe("port", port.map(|port| port.to_string()).as_deref());
    }
    if let Some(command) = &program.command {
        said.say("command", &command.program);
        said.maybe(
            "cwd",
            command
                .cwd
                .as_ref()
                .map(|cwd| cwd.to_string_lossy())
                .as_deref(),
        );
        for arg in &command.args {
            said.say("arg", arg.expose());
        }
    }
    for arg in &program.args {
        said.say("image arg", arg.expose());
    }
    container(said, &program.container);
}

fn remote(said: &mut DigestInput, remote: &Remote) {
    said.say("url", &remote.url.to_string());
    said.say("transport", &format!("{:?}", remote.transport));
    for (name, value) in &remote.headers {
        said.say(&format!("header {name}"), value.expose());
    }
}

fn injection(said: &mut DigestInput, slot: &str, injection: &Injection) {
    match injection {
        Injection::Env(name) => said.say(&format!("slot {slot} env"), name),
        Injection::File { name, path_env } => {
            said.say(&format!("slot {slot} file"), name);
            said.maybe(&format!("slot {slot} path"), path_env.as_deref());
        }
        Injection::Header { name, prefix } => {
            said.say(&format!("slot {slot} header"), name);
            said.say(&format!("slot {slot} prefix"), prefix);
        }
    }
}

fn container(said: &mut DigestInput, container: &Container) {
    let pull = container.pull_policy.map(|policy| format!("{policy:?}"));
    said.maybe("pull policy", pull.as_deref());
    for secret in &container.pull_secrets {
        pull_secret(said, secret);
    }
    for (kind, quantities) in [
        ("request", &container.resources.requests),
        ("limit", &container.resources.limits),
    ] {
        for (name, quantity) in quantities {
            said.say(&format!("{kind} {name}"), quantity);
        }
    }
    for from in &container.env_from {
        let (kind, name) = match &from.source {
            EnvSource::Secret(name) => ("secret", name),
            EnvSource::ConfigMap(name) => ("config map", name),
        };
        said.say(&format!("env from {kind}"), name);
        said.maybe("env prefix", from.prefix.as_deref());
        said.flag("env optional", from.optional);
    }
    for (name, value) in &container.node_selector {
        said.say(&format!("node {name}"), value);
    }
    for toleration in &container.tolerations {
        said.json("toleration", Some(toleration));
    }
    said.json("affinity", container.affinity.as_ref());
    said.maybe("service account", container.service_account.as_deref());
    for volume in &container.volumes {
        let all = json!([
            volume.name,
            volume.mount_path,
            volume.read_only,
            volume.source
        ]);
        said.json("volume", Some(&all));
    }
    security(said, container);
    said.json("startup", container.probes.startup.as_ref());
    said.json("readiness", container.probes.readiness.as_ref());
    said.json("liveness", container.probes.liveness.as_ref());
    said.flag("service", container.service);
    match &container.template_patch {
        None => {}
        Some(TemplatePatch::Merge(patch)) => said.json("merge patch", Some(patch)),
        Some(TemplatePatch::Json(patch)) => said.json("json patch", Some(patch)),
    }
}

fn pull_secret(said: &mut DigestInput, secret: &PullSecret) {
    use secrecy::ExposeSecret as _;
    match secret {
        PullSecret::Existing(name) => said.say("pull secret", name),
        PullSecret::Registry {
            server,
            username,
            password,
        } => {
            said.say("registry", server);
            said.say("registry user", username);
            said.say("registry password", password.expose_secret());
        }
    }
}

fn security(said: &mut DigestInput, container: &Container) {
    let security = &container.security;
    let number = |n: Option<i64>| n.map(|n| n.to_string());
    said.maybe("user", number(security.run_as_user).as_deref());
    said.maybe("group", number(security.run_as_group).as_deref());
    said.flag("root", security.allow_root);
    said.flag("escalation", security.allow_privilege_escalation);
    said.flag("writable root", security.writable_root);
    for capability in &security.capabilities {
        said.say("capability", capability);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::ServerId;
    use crate::value::Text;

    fn git() -> ServerSpec {
        ServerSpec::command(ServerId::new("git").unwrap(), "mcp-git", ["--repo", "."])
    }

    #[test]
    fn digest_changes_with_settings_that_affect_an_instance() {
        let key = StateKey::new([1; 32]);
        let mut spec = git();
        let first = spec.digest(&key);
        spec.limits.call_timeout = Duration::from_secs(1);
        assert_eq!(spec.digest(&key), first);
        spec.env.insert("A".into(), Text::secret("x"));
        assert_ne!(spec.digest(&key), first);
        assert!(!format!("{spec:?}").contains("\"x\""));
    }

    #[test]
    fn digest_changes_with_the_container() {
        let key = StateKey::new([1; 32]);
        let first = git().digest(&key);
        let changes: [fn(&mut Container); 6] = [
            |c| c.service = true,
            |c| c.security.allow_root = true,
            |c| c.affinity = Some(json!({})),
            |c| c.template_patch = Some(TemplatePatch::Merge(json!({"a": 1}))),
            |c| c.template_patch = Some(TemplatePatch::Json(json!({"a": 1}))),
            |c| c.pull_secrets.push(PullSecret::Existing("a".into())),
        ];
        let mut seen = vec![first];
        for change in changes {
            let mut spec = git();
            let Launch::Program(program) = &mut spec.launch else {
                unreachable!()
            };
            change(&mut program.container);
            let digest = spec.digest(&key);
            assert!(!seen.contains(&digest));
            seen.push(digest);
        }
    }
}
