//! Values of the effective configuration and where they come from.

use std::path::PathBuf;

use serde::Serialize;

/// One value of the effective configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Effective {
    /// Its key, for example `servers.github.command`.
    pub key: String,
    /// The value as written, variables not expanded; masked if it may be secret.
    pub value: String,
    /// Where the value comes from.
    pub origin: Origin,
}

/// Origin of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "from")]
pub enum Origin {
    /// A configuration file.
    File {
        /// Path of the file, as given.
        file: PathBuf,
        /// Line number, from 1.
        line: Option<usize>,
        /// Environment variables that the value references.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        variables: Vec<NamedVariable>,
    },
    /// A command-line argument or its environment variable.
    Argument,
    /// The default.
    Default,
}

/// An environment variable that a value references.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NamedVariable {
    /// Name of the variable.
    pub name: String,
    /// `true` if the variable is set. Otherwise its default applies.
    pub is_set: bool,
}
