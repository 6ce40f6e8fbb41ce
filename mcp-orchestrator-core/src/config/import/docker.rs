//! Imports Docker's catalog of MCP servers (`registry:` by name), and the `server.yaml` of a single server.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::offer::{InstallableServer, Kind};
use super::translate::{Part, escaped, rendered};
use crate::config::import::builder::{EntryBuilder, literal};
use crate::config::resolve::check;
use crate::config::schema::server::{CredentialEntry, HeaderEntry, TransportEntry};
use crate::config::schema::value::{TextOr, Typed};
use crate::config::source::node::{Node, Value as Tree};
use crate::id::to_dns_label;

/// Returns the servers of a catalog, or the one of a `server.yaml`.
pub(super) fn offers(tree: &Node) -> Vec<InstallableServer> {
    if let Some(registry) = tree.get("registry") {
        let entries = registry.entries().iter();
        return entries
            .map(|entry| InstallableServer::new(&entry.key, Kind::DockerCatalog, &entry.node))
            .collect();
    }
    match tree.get("name").map(|name| &name.value) {
        Some(Tree::Scalar { text, .. }) => {
            vec![InstallableServer::new(text, Kind::DockerServer, tree)]
        }
        _ => Vec::new(),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Server {
    image: Option<String>,
    r#type: String,
    secrets: Vec<Secret>,
    env: Vec<Variable>,
    command: Vec<String>,
    volumes: Vec<String>,
    allow_hosts: Vec<String>,
    disable_network: Option<String>,
    user: Option<String>,
    remote: Option<Remote>,
    oauth: Option<Value>,
    run: Option<Run>,
    config: Option<Value>,
}

/// The `run` mapping of a `server.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Run {
    command: Vec<String>,
    volumes: Vec<String>,
    env: BTreeMap<String, String>,
    allow_hosts: Vec<String>,
    disable_network: Option<String>,
}

/// The `config` mapping of a `server.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    secrets: Vec<Secret>,
    env: Vec<Variable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Secret {
    name: String,
    env: Option<String>,
    description: Option<String>,
    required: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Variable {
    name: String,
    value: Option<String>,
    example: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Remote {
    #[serde(alias = "transportType", alias = "type")]
    transport_type: String,
    url: String,
    headers: BTreeMap<String, String>,
}

/// Imports an entry of a catalog.
pub(super) fn from_catalog(said: Value, made: &mut EntryBuilder) -> Result<(), String> {
    let server = Server::deserialize(said).map_err(|error| error.to_string())?;
    make(&server, made)
}

/// Imports a `server.yaml`, in which `run` and `config` contain what a catalog has at the top level.
pub(super) fn from_server(said: Value, made: &mut EntryBuilder) -> Result<(), String> {
    let mut server = Server::deserialize(said).map_err(|error| error.to_string())?;
    if let Some(run) = server.run.take() {
        server.command = run.command;
        server.volumes = run.volumes;
        server.allow_hosts = run.allow_hosts;
        server.disable_network = run.disable_network;
        let fixed = run.env.into_iter();
        server.env.extend(fixed.map(|(name, value)| Variable {
            name,
            value: Some(value),
            example: None,
        }));
    }
    let config = server.config.take().filter(Value::is_object);
    if let Some(config) = config {
        let config = Config::deserialize(config).map_err(|error| error.to_string())?;
        server.secrets.extend(config.secrets);
        server.env.extend(config.env);
    }
    make(&server, made)
}

fn make(server: &Server, made: &mut EntryBuilder) -> Result<(), String> {
    if let Some(remote) = &server.remote {
        return self::remote(server, remote, made);
    }
    let image = server
        .image
        .as_deref()
        .ok_or("it has neither an image nor a remote address")?;
    if !super::registry::is_image(image) {
        return Err("its image is not a valid image name".to_owned());
    }
    let command = placed("command", &server.command, made);
    for secret in &server.secrets {
        let name = secret.env.clone().unwrap_or_else(|| secret.name.clone());
        check::env_name(&name)?;
        slot(secret, |slot| slot.env = Some(name), made);
    }
    for variable in &server.env {
        variable.make(made)?;
    }
    for (key, there) in [
        ("volumes", !server.volumes.is_empty()),
        ("user", server.user.is_some()),
        ("config", server.config.is_some()),
    ] {
        if there {
            made.notice(format!(
                "`{key}` is left out; see `pod` for the settings of containers"
            ));
        }
    }
    made.entry.egress = match server.disable_network.as_deref() {
        Some("true") if made.containers => Some(TextOr::Text("none".into())),
        _ => None,
    };
    if !server.allow_hosts.is_empty() {
        made.notice("`allowHosts` is left out: `egress` restricts networks, not host names");
    }
    made.image(image, command);
    if server.disable_network.as_deref() == Some("true") {
        without_network(made);
    }
    Ok(())
}

impl Variable {
    /// Adds the variable: with its value, or as a slot if the value comes from Docker's configuration.
    fn make(&self, made: &mut EntryBuilder) -> Result<(), String> {
        check::env_name(&self.name)?;
        let value = self.value.as_deref().unwrap_or_default();
        if value.is_empty() || value.contains("{{") {
            let example = self
                .example
                .as_deref()
                .filter(|example| !example.is_empty());
            made.entry
                .credentials
                .get_or_insert_default()
                .push(CredentialEntry {
                    name: to_dns_label(&self.name),
                    description: example.map(|example| format!("e.g. {example}")),
                    required: Some(false),
                    plain: Some(true),
                    env: Some(self.name.clone()),
                    ..CredentialEntry::default()
                });
        } else {
            let env = made.entry.env.get_or_insert_default();
            env.insert(self.name.clone(), Typed(escaped(value)));
        }
        Ok(())
    }
}

/// Takes the network from a container that Docker runs.
fn without_network(made: &mut EntryBuilder) {
    if let Some(TextOr::Other(words)) = &mut made.entry.command
        && let Some(at) = words.iter().position(|word| word.0 == "--rm")
    {
        words.splice(at + 1..at + 1, ["--network", "none"].map(Typed::from));
    }
}

fn remote(server: &Server, remote: &Remote, made: &mut EntryBuilder) -> Result<(), String> {
    made.entry.transport = match remote.transport_type.as_str() {
        "sse" => Some(TransportEntry::Sse),
        "" | "http" | "streamable-http" | "streamable" => None,
        other => return Err(format!("unknown transport {other}")),
    };
    if remote.url.contains("{{") {
        return Err("its URL needs values from Docker's own configuration".to_owned());
    }
    made.entry.url = Some(Typed(escaped(&remote.url)));
    for (name, value) in &remote.headers {
        check::header_name(name)?;
        // For example `Bearer ${TOKEN}`, where the token is one of the secrets.
        let open = value
            .split_once("${")
            .and_then(|(before, rest)| Some((before, rest.strip_suffix('}')?)));
        let secret = open.and_then(|(before, variable)| {
            let secret = server
                .secrets
                .iter()
                .find(|secret| secret.env.as_deref() == Some(variable))?;
            Some((before, secret))
        });
        match secret {
            Some((before, secret)) => {
                let header = HeaderEntry {
                    name: name.clone(),
                    prefix: before.to_owned(),
                };
                slot(
                    secret,
                    |slot| slot.header = Some(TextOr::Other(header)),
                    made,
                );
            }
            None => {
                let headers = made.entry.headers.get_or_insert_default();
                headers.insert(name.clone(), Typed(escaped(value)));
            }
        }
    }
    if server.oauth.is_some() && made.entry.credentials.is_none() {
        made.entry.oauth = Some(crate::config::schema::oauth::OAuthChoice::Plain(true));
    }
    if !server.r#type.is_empty() && server.r#type != "remote" {
        made.notice(format!(
            "it has the type {}; its remote URL is used",
            server.r#type
        ));
    }
    Ok(())
}

fn slot(secret: &Secret, place: impl FnOnce(&mut CredentialEntry), made: &mut EntryBuilder) {
    let mut slot = CredentialEntry {
        name: to_dns_label(&secret.name),
        description: secret.description.clone(),
        required: (secret.required.as_deref() == Some("false")).then_some(false),
        ..CredentialEntry::default()
    };
    place(&mut slot);
    made.entry.credentials.get_or_insert_default().push(slot);
}

/// Converts arguments; a placeholder of Docker's configuration becomes a variable of the server.
fn placed(used_by: &str, list: &[String], made: &mut EntryBuilder) -> Vec<Typed> {
    if !list.iter().any(|text| text.contains("{{")) {
        return literal(list);
    }
    let mut texts = Vec::new();
    for text in list {
        let Some((before, rest)) = text.split_once("{{") else {
            texts.push(Typed(escaped(text)));
            continue;
        };
        let (name, after) = rest.split_once("}}").unwrap_or((rest, ""));
        let name = name.split('|').next().unwrap_or(name).trim();
        let name = name.rsplit('.').next().unwrap_or(name);
        let variable = made.variable(name, used_by);
        texts.push(Typed(rendered(&[
            Part::Literal(before.to_owned()),
            variable,
            Part::Literal(after.to_owned()),
        ])));
    }
    texts
}
