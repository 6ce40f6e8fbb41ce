//! The parts of a `server.json` that are read, in all versions of its schema. Every scalar is a string.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::import::builder::flag;

/// A description; unknown members are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Description {
    pub(crate) packages: Vec<Package>,
    pub(crate) remotes: Vec<Remote>,
    pub(crate) status: Option<String>,
    /// From the schema of June 2025, which has it beside the packages.
    pub(crate) version_detail: Option<VersionDetail>,
}

/// A version in the schema of June 2025.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct VersionDetail {
    pub(crate) version: Option<String>,
}

/// A package of a registry.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Package {
    #[serde(
        alias = "registry_type",
        alias = "registryName",
        alias = "registry_name"
    )]
    pub(crate) registry_type: String,
    #[serde(alias = "name")]
    pub(crate) identifier: String,
    pub(crate) version: Option<String>,
    #[serde(alias = "registry_base_url")]
    pub(crate) registry_base_url: Option<String>,
    #[serde(alias = "runtime_arguments")]
    pub(crate) runtime_arguments: Vec<Argument>,
    #[serde(alias = "package_arguments")]
    pub(crate) package_arguments: Vec<Argument>,
    #[serde(alias = "environment_variables")]
    pub(crate) environment_variables: Vec<Named>,
    pub(crate) transport: Option<Remote>,
}

/// A remote server, or the transport of a package.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Remote {
    #[serde(alias = "transport_type", alias = "transportType")]
    pub(crate) r#type: String,
    pub(crate) url: Option<String>,
    pub(crate) headers: Vec<Named>,
    pub(crate) variables: BTreeMap<String, Input>,
}

/// A value that a user may have to provide.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Input {
    pub(crate) description: Option<String>,
    #[serde(alias = "is_required", deserialize_with = "flag")]
    pub(crate) is_required: bool,
    #[serde(alias = "is_secret", deserialize_with = "flag")]
    pub(crate) is_secret: bool,
    pub(crate) value: Option<String>,
    pub(crate) default: Option<String>,
    pub(crate) choices: Option<Vec<String>>,
    pub(crate) variables: BTreeMap<String, Self>,
}

/// A header or an environment variable.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) input: Input,
}

/// An argument.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Argument {
    pub(crate) r#type: String,
    pub(crate) name: Option<String>,
    #[serde(alias = "value_hint")]
    pub(crate) value_hint: Option<String>,
    #[serde(flatten)]
    pub(crate) input: Input,
}
