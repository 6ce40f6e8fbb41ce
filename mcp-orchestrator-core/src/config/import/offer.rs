//! A server that a document offers, before it is converted.

use serde_json::Value;

use crate::config::foreign;
use crate::config::source::node::Node;
use crate::id::to_dns_label;

/// An installable server.
pub(super) struct InstallableServer {
    /// Its name in the document.
    pub(super) name: String,
    /// Its default name here.
    pub(super) label: String,
    pub(super) kind: Kind,
    /// Its description; every scalar in it is a string.
    pub(super) said: Value,
}

/// The kind of document that describes the server.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Registry,
    DockerCatalog,
    DockerServer,
    ToolHiveImage,
    ToolHiveRemote,
    Resource,
}

impl InstallableServer {
    pub(super) fn new(name: &str, kind: Kind, said: &Node) -> Self {
        let plain = name.trim_start_matches('/');
        Self {
            name: name.to_owned(),
            label: to_dns_label(plain).unwrap_or_else(|| foreign::label(name)),
            kind,
            said: said.to_json(),
        }
    }
}
