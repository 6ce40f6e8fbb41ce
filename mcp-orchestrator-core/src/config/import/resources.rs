//! Imports Kubernetes resources: `MCPServer` and `RemoteMCPServer` of kmcp and kagent, `MCPServer`, `MCPRemoteProxy` and
//! `MCPServerEntry` of ToolHive.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::offer::{InstallableServer, Kind};
use super::toolhive;
use super::translate::escaped;
use crate::config::import::builder::{EntryBuilder, literal, port};
use crate::config::resolve::check;
use crate::config::schema::pod::{EnvFromEntry, PodEntry};
use crate::config::schema::server::{
    CredentialEntry, HeaderEntry, SecretPlaceEntry, TransportEntry,
};
use crate::config::schema::value::{TextOr, Typed};
use crate::config::source::node::{Node, Value as Tree};
use crate::id::to_dns_label;

/// Returns the resource of a document, or those of a `List`.
pub(super) fn offers(tree: &Node) -> Vec<InstallableServer> {
    if let Some(Tree::List(items)) = tree.get("items").map(|items| &items.value) {
        return items.iter().flat_map(offers).collect();
    }
    let name = tree
        .get("metadata")
        .and_then(|metadata| metadata.get("name"));
    match name.map(|name| &name.value) {
        Some(Tree::Scalar { text, .. }) => vec![InstallableServer::new(text, Kind::Resource, tree)],
        _ => vec![InstallableServer::new(
            "(without a name)",
            Kind::Resource,
            tree,
        )],
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Resource {
    api_version: String,
    kind: String,
    spec: Value,
}

/// Creates an entry from a resource.
///
/// # Errors
/// Why that is not possible.
pub(super) fn make(said: Value, made: &mut EntryBuilder) -> Result<(), String> {
    let resource = Resource::deserialize(said).map_err(|error| error.to_string())?;
    let group = resource.api_version.split('/').next().unwrap_or_default();
    let spec = resource.spec;
    let read = |error: serde_json::Error| error.to_string();
    match (group, resource.kind.as_str()) {
        ("kagent.dev", "MCPServer") => Kmcp::deserialize(spec).map_err(read)?.make(made),
        ("kagent.dev", "RemoteMCPServer") => {
            RemoteServer::deserialize(spec).map_err(read)?.make(made)
        }
        ("toolhive.stacklok.dev", "MCPServer") => {
            ToolHive::deserialize(spec).map_err(read)?.make(made)
        }
        ("toolhive.stacklok.dev", "MCPRemoteProxy" | "MCPServerEntry") => {
            Proxy::deserialize(spec).map_err(read)?.make(made)
        }
        (group, kind) => Err(format!(
            "unknown resource: a {kind} of {group}; known are MCPServer, RemoteMCPServer, MCPRemoteProxy and MCPServerEntry"
        )),
    }
}

/// The `MCPServer` of kmcp.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kmcp {
    deployment: Deployment,
    transport_type: String,
    http_transport: Option<HttpTransport>,
    stdio_transport: Option<Value>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Deployment {
    image: Option<String>,
    cmd: Option<String>,
    args: Vec<String>,
    #[serde(deserialize_with = "port")]
    port: Option<u16>,
    env: BTreeMap<String, String>,
    secret_refs: Vec<Reference>,
    config_map_refs: Vec<Reference>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HttpTransport {
    #[serde(deserialize_with = "port")]
    target_port: Option<u16>,
    path: Option<String>,
}

impl Kmcp {
    fn make(self, made: &mut EntryBuilder) -> Result<(), String> {
        let deployment = self.deployment;
        if self.transport_type == "http" {
            let http = self.http_transport.unwrap_or_default();
            made.entry.transport = Some(TransportEntry::Http);
            made.entry.port = http.target_port.or(deployment.port);
            made.entry.path = http
                .path
                .filter(|path| !path.is_empty())
                .map(|path| Typed(escaped(&path)));
        }
        for (name, value) in &deployment.env {
            check::env_name(name)?;
            let env = made.entry.env.get_or_insert_default();
            env.insert(name.clone(), Typed(escaped(value)));
        }
        let secrets = deployment.secret_refs.into_iter().map(|it| EnvFromEntry {
            secret: Some(it.name),
            ..EnvFromEntry::default()
        });
        let maps = deployment
            .config_map_refs
            .into_iter()
            .map(|it| EnvFromEntry {
                config_map: Some(it.name),
                ..EnvFromEntry::default()
            });
        let from: Vec<EnvFromEntry> = secrets.chain(maps).collect();
        if !from.is_empty() {
            made.notice("its Secrets and ConfigMaps are read from the orchestrator's namespace");
            made.entry.pod = Some(PodEntry {
                env_from: Some(from),
                ..PodEntry::default()
            });
        }
        made.unused(&self.rest);
        made.unused(&deployment.rest);
        drop(self.stdio_transport);
        let command = deployment.cmd.map(|cmd| {
            let mut list = vec![Typed(escaped(&cmd))];
            list.extend(literal(&deployment.args));
            list
        });
        match (deployment.image, command) {
            (Some(image), command) => in_image(&image, command, &deployment.args, made),
            // kmcp runs npx and uvx in its own image.
            (None, Some(command)) => {
                made.entry.command = Some(TextOr::Other(command));
                Ok(())
            }
            (None, None) => Err("it has neither an `image` nor a `cmd`".to_owned()),
        }
    }
}

/// Runs a program in an image, or the image's own program.
fn in_image(
    image: &str,
    command: Option<Vec<Typed>>,
    args: &[String],
    made: &mut EntryBuilder,
) -> Result<(), String> {
    if !super::registry::is_image(image) {
        return Err("its image is not a valid image name".to_owned());
    }
    match command {
        Some(command) if made.containers => {
            made.entry.image = Some(Typed(escaped(image)));
            made.entry.command = Some(TextOr::Other(command));
            Ok(())
        }
        Some(_) => Err("its program is in an image, which needs `--backend kubernetes`".to_owned()),
        None => {
            made.image(image, literal(args));
            made.image_speaks()
        }
    }
}

/// The `RemoteMCPServer` of kagent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RemoteServer {
    url: String,
    protocol: String,
    headers_from: Vec<HeaderFrom>,
    timeout: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HeaderFrom {
    name: String,
    value: Option<String>,
    value_from: Option<ValueFrom>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ValueFrom {
    r#type: String,
    name: String,
    key: String,
    #[serde(alias = "valueRef")]
    value_ref: Option<String>,
}

impl RemoteServer {
    fn make(self, made: &mut EntryBuilder) -> Result<(), String> {
        made.entry.url = Some(Typed(escaped(&self.url)));
        if self.protocol.eq_ignore_ascii_case("SSE") {
            made.entry.transport = Some(TransportEntry::Sse);
        }
        for header in self.headers_from {
            check::header_name(&header.name)?;
            let name = header.name;
            match (header.value, header.value_from) {
                (Some(value), _) => {
                    let headers = made.entry.headers.get_or_insert_default();
                    headers.insert(name, Typed(escaped(&value)));
                }
                (None, Some(from)) if from.r#type == "Secret" => {
                    let secret = from.value_ref.unwrap_or(from.name);
                    from_secret(
                        &secret,
                        &from.key,
                        |slot| {
                            slot.header = Some(TextOr::Other(HeaderEntry {
                                name: name.clone(),
                                prefix: String::new(),
                            }));
                        },
                        &name,
                        made,
                    );
                }
                _ => made.notice(format!(
                    "the header {name} is left out: it does not come from a Secret"
                )),
            }
        }
        if self.timeout.is_some() {
            made.notice("`timeout` is left out; set `timeout` of the entry for calls");
        }
        made.unused(&self.rest);
        Ok(())
    }
}

/// Adds a slot with a value from a Secret.
fn from_secret(
    secret: &str,
    key: &str,
    place: impl FnOnce(&mut CredentialEntry),
    name: &str,
    made: &mut EntryBuilder,
) {
    let mut slot = CredentialEntry {
        name: to_dns_label(name),
        from_secret: Some(SecretPlaceEntry {
            name: secret.to_owned(),
            key: key.to_owned(),
        }),
        ..CredentialEntry::default()
    };
    place(&mut slot);
    made.notice(format!(
        "the Secret {secret} is read from the orchestrator's namespace"
    ));
    made.entry.credentials.get_or_insert_default().push(slot);
}

/// The `MCPServer` of ToolHive.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ToolHive {
    image: String,
    transport: String,
    #[serde(alias = "mcpPort", deserialize_with = "port")]
    target_port: Option<u16>,
    args: Vec<String>,
    env: Vec<Variable>,
    secrets: Vec<SecretVariable>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SecretVariable {
    name: String,
    key: String,
    target_env_name: Option<String>,
}

impl ToolHive {
    fn make(self, made: &mut EntryBuilder) -> Result<(), String> {
        toolhive::speaks(&self.transport, self.target_port, made)?;
        for variable in self.env {
            check::env_name(&variable.name)?;
            let env = made.entry.env.get_or_insert_default();
            env.insert(variable.name, Typed(escaped(&variable.value)));
        }
        for secret in self.secrets {
            let variable = secret.target_env_name.unwrap_or_else(|| secret.key.clone());
            check::env_name(&variable)?;
            let name = variable.clone();
            from_secret(
                &secret.name,
                &secret.key,
                |slot| slot.env = Some(variable),
                &name,
                made,
            );
        }
        made.unused(&self.rest);
        in_image(&self.image, None, &self.args, made)
    }
}

/// The `MCPRemoteProxy` or `MCPServerEntry` of ToolHive.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Proxy {
    #[serde(alias = "remoteUrl", rename = "remoteURL")]
    remote_url: String,
    transport: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

impl Proxy {
    fn make(self, made: &mut EntryBuilder) -> Result<(), String> {
        made.entry.url = Some(Typed(escaped(&self.remote_url)));
        if self.transport == "sse" {
            made.entry.transport = Some(TransportEntry::Sse);
        }
        made.unused(&self.rest);
        Ok(())
    }
}
