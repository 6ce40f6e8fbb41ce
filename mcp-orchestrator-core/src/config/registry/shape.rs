//! What counts of a `server.json`, as it is typed.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What counts of a `server.json`; what else stands there is passed over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Description {
    pub(super) name: String,
    #[serde(default)]
    pub(super) packages: Vec<Package>,
    #[serde(default)]
    pub(super) remotes: Vec<Remote>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Package {
    pub(super) registry_type: String,
    pub(super) identifier: String,
    pub(super) version: Option<String>,
    pub(super) registry_base_url: Option<String>,
    #[serde(default)]
    pub(super) runtime_arguments: Vec<Argument>,
    #[serde(default)]
    pub(super) package_arguments: Vec<Argument>,
    #[serde(default)]
    pub(super) environment_variables: Vec<Named>,
    pub(super) transport: Option<Remote>,
}

/// A remote server; of a package, how the program is spoken to.
#[derive(Debug, Deserialize)]
pub(super) struct Remote {
    pub(super) r#type: String,
    pub(super) url: Option<String>,
    #[serde(default)]
    pub(super) headers: Vec<Named>,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, Input>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Input {
    pub(super) description: Option<String>,
    pub(super) is_required: bool,
    pub(super) is_secret: bool,
    pub(super) value: Option<String>,
    pub(super) default: Option<String>,
    pub(super) choices: Option<Vec<String>>,
    pub(super) variables: BTreeMap<String, Self>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) input: Input,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Argument {
    pub(super) r#type: String,
    pub(super) name: Option<String>,
    pub(super) value_hint: Option<String>,
    #[serde(flatten)]
    pub(super) input: Input,
}
