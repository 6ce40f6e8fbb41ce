//! The parts of a `server.json` that are read, in all versions of its schema. Every scalar is a string.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::import::described::flag;

/// A description; unknown members are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Description {
    pub(super) packages: Vec<Package>,
    pub(super) remotes: Vec<Remote>,
    pub(super) status: Option<String>,
    /// From the schema of June 2025, which has it beside the packages.
    pub(super) version_detail: Option<VersionDetail>,
}

/// A version in the schema of June 2025.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct VersionDetail {
    pub(super) version: Option<String>,
}

/// A package of a registry.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Package {
    #[serde(
        alias = "registry_type",
        alias = "registryName",
        alias = "registry_name"
    )]
    pub(super) registry_type: String,
    #[serde(alias = "name")]
    pub(super) identifier: String,
    pub(super) version: Option<String>,
    #[serde(alias = "registry_base_url")]
    pub(super) registry_base_url: Option<String>,
    #[serde(alias = "runtime_arguments")]
    pub(super) runtime_arguments: Vec<Argument>,
    #[serde(alias = "package_arguments")]
    pub(super) package_arguments: Vec<Argument>,
    #[serde(alias = "environment_variables")]
    pub(super) environment_variables: Vec<Named>,
    pub(super) transport: Option<Remote>,
}

/// A remote server, or the transport of a package.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Remote {
    #[serde(alias = "transport_type", alias = "transportType")]
    pub(super) r#type: String,
    pub(super) url: Option<String>,
    pub(super) headers: Vec<Named>,
    pub(super) variables: BTreeMap<String, Input>,
}

/// A value that a user may have to provide.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Input {
    pub(super) description: Option<String>,
    #[serde(alias = "is_required", deserialize_with = "flag")]
    pub(super) is_required: bool,
    #[serde(alias = "is_secret", deserialize_with = "flag")]
    pub(super) is_secret: bool,
    pub(super) value: Option<String>,
    pub(super) default: Option<String>,
    pub(super) choices: Option<Vec<String>>,
    pub(super) variables: BTreeMap<String, Self>,
}

/// A header or an environment variable.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) input: Input,
}

/// An argument.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Argument {
    pub(super) r#type: String,
    pub(super) name: Option<String>,
    #[serde(alias = "value_hint")]
    pub(super) value_hint: Option<String>,
    #[serde(flatten)]
    pub(super) input: Input,
}
