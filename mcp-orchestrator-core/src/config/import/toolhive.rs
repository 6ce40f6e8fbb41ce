//! Imports ToolHive's registry: `servers` are images, `remote_servers` are URLs.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::offer::{InstallableServer, Kind};
use super::registry::{Input, filled};
use super::translate::escaped;
use crate::config::import::builder::{EntryBuilder, flag, literal, port};
use crate::config::resolve::check;
use crate::config::schema::oauth::{OAuthChoice, OAuthEntry, ResourceChoice};
use crate::config::schema::server::{CredentialEntry, TransportEntry};
use crate::config::schema::value::{TextOr, Typed};
use crate::config::source::node::{Node, Value as Tree};
use crate::id::to_dns_label;

/// Returns the servers of a registry.
pub(super) fn offers(tree: &Node) -> Vec<InstallableServer> {
    let known = tree.get("last_updated").is_some() || tree.get("remote_servers").is_some();
    if !known {
        return Vec::new();
    }
    let groups = match tree.get("groups").map(|groups| &groups.value) {
        Some(Tree::List(groups)) => &groups[..],
        _ => &[],
    };
    let mut offers = Vec::new();
    for node in std::iter::once(tree).chain(groups) {
        for (key, kind) in [
            ("servers", Kind::ToolHiveImage),
            ("remote_servers", Kind::ToolHiveRemote),
        ] {
            let entries = node.get(key).map(Node::entries).unwrap_or_default();
            offers.extend(
                entries
                    .iter()
                    .map(|entry| InstallableServer::new(&entry.key, kind, &entry.node)),
            );
        }
    }
    offers
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Image {
    image: String,
    transport: String,
    #[serde(deserialize_with = "port")]
    target_port: Option<u16>,
    args: Vec<String>,
    env_vars: Vec<Variable>,
    permissions: Option<Value>,
    status: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Remote {
    url: String,
    transport: String,
    url_variables: BTreeMap<String, Variable>,
    headers: Vec<Variable>,
    env_vars: Vec<Variable>,
    oauth_config: Option<OAuth>,
    status: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Variable {
    name: String,
    description: Option<String>,
    #[serde(deserialize_with = "flag")]
    required: bool,
    #[serde(deserialize_with = "flag")]
    secret: bool,
    default: Option<String>,
    choices: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OAuth {
    issuer: Option<String>,
    client_id: Option<String>,
    scopes: Vec<String>,
    authorize_url: Option<String>,
    token_url: Option<String>,
    resource: Option<String>,
    oauth_params: BTreeMap<String, String>,
}

/// Imports an image of the registry.
pub(super) fn image(said: Value, made: &mut EntryBuilder) -> Result<(), String> {
    let server = Image::deserialize(said).map_err(|error| error.to_string())?;
    if !super::registry::is_image(&server.image) {
        return Err("its image is not a valid image name".to_owned());
    }
    old(server.status.as_deref(), made);
    speaks(&server.transport, server.target_port, made)?;
    for variable in &server.env_vars {
        check::env_name(&variable.name)?;
        let mut slot = variable.slot();
        slot.env = Some(variable.name.clone());
        made.entry.credentials.get_or_insert_default().push(slot);
    }
    if server.permissions.is_some() {
        made.notice("`permissions` are left out; see `egress` for networks, and `pod` for volumes");
    }
    made.image(&server.image, literal(&server.args));
    made.image_speaks()
}

/// Sets the transport of a program in a container.
pub(super) fn speaks(
    transport: &str,
    port: Option<u16>,
    made: &mut EntryBuilder,
) -> Result<(), String> {
    match transport {
        "stdio" | "" => {}
        "streamable-http" | "http" => {
            made.entry.transport = Some(TransportEntry::Http);
            made.entry.port = port;
        }
        other => {
            return Err(format!(
                "unsupported transport {other}: only remote servers may use it"
            ));
        }
    }
    Ok(())
}

/// Imports a remote server of the registry.
pub(super) fn remote(said: Value, made: &mut EntryBuilder) -> Result<(), String> {
    let server = Remote::deserialize(said).map_err(|error| error.to_string())?;
    old(server.status.as_deref(), made);
    made.entry.transport = match server.transport.as_str() {
        "sse" => Some(TransportEntry::Sse),
        "" | "streamable-http" | "http" => None,
        other => return Err(format!("unknown transport {other}")),
    };
    if server.url.contains('{') && server.url_variables.is_empty() {
        return Err("its URL has placeholders; add it as `url` by hand".to_owned());
    }
    let variables = server.url_variables.iter();
    let variables = variables.map(|(name, variable)| (name.clone(), variable.input()));
    let url = filled(&server.url, &variables.collect(), "url", made)?;
    made.entry.url = Some(Typed(url));
    for variable in &server.headers {
        check::header_name(&variable.name)?;
        let mut slot = variable.slot();
        slot.header = Some(TextOr::Text(Typed(variable.name.clone())));
        made.entry.credentials.get_or_insert_default().push(slot);
    }
    if !server.env_vars.is_empty() {
        made.notice("`env_vars` are left out: a server with a URL has no environment");
    }
    if let Some(oauth) = server.oauth_config {
        let text = |text: Option<String>| text.map(|text| Typed(escaped(&text)));
        let parameters = oauth.oauth_params.into_iter();
        let parameters: BTreeMap<_, _> = parameters
            .map(|(name, value)| (name, Typed(escaped(&value))))
            .collect();
        let entry = OAuthEntry {
            issuer: text(oauth.issuer),
            client_id: text(oauth.client_id),
            authorization_endpoint: text(oauth.authorize_url),
            token_endpoint: text(oauth.token_url),
            resource: text(oauth.resource).map(ResourceChoice::Text),
            authorization_parameters: (!parameters.is_empty()).then_some(parameters),
            scopes: (!oauth.scopes.is_empty()).then(|| literal(&oauth.scopes)),
            ..OAuthEntry::default()
        };
        let plain = entry == OAuthEntry::default();
        made.entry.oauth = Some(if plain {
            OAuthChoice::Plain(true)
        } else {
            OAuthChoice::Entry(Box::new(entry))
        });
    }
    Ok(())
}

fn old(status: Option<&str>, made: &mut EntryBuilder) {
    if let Some(status) = status.filter(|status| status.eq_ignore_ascii_case("deprecated")) {
        made.notice(format!("the registry marks it as {status}"));
    }
}

impl Variable {
    fn input(&self) -> Input {
        Input {
            description: self.description.clone(),
            is_required: self.required,
            is_secret: self.secret,
            default: self.default.clone(),
            choices: self.choices.clone(),
            ..Input::default()
        }
    }

    fn slot(&self) -> CredentialEntry {
        CredentialEntry {
            name: to_dns_label(&self.name),
            description: self.description.clone(),
            required: (!self.required).then_some(false),
            plain: (!self.secret).then_some(true),
            default: self.default.clone(),
            choices: self.choices.clone().filter(|choices| !choices.is_empty()),
            ..CredentialEntry::default()
        }
    }
}
