//! Result of an import.

use super::risk::Risk;
use crate::config::schema::server::ServerEntry;
use crate::config::source::diagnostics::Notice;
use crate::id::ServerId;

/// Result of an import.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Imported {
    /// The servers under their new names, in the order of the file.
    pub servers: Vec<(ServerId, ServerEntry)>,
    /// The variables that the entries name.
    pub variables: Vec<ImportedVariable>,
    /// Risks that the user should review before the servers run.
    pub risks: Vec<Risk>,
    /// Notices, for example about changed names.
    pub notices: Vec<Notice>,
}

/// A variable that imported servers need.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportedVariable {
    /// The name of the variable.
    pub name: String,
    /// The keys that use it, such as `github.env.TOKEN`.
    pub used_by: Vec<String>,
    /// `true` if the foreign file contains the value, which was not copied.
    pub left_behind: bool,
    /// `true` if the foreign file names the variable, so that it may be one that the gateway has for another purpose.
    pub theirs: bool,
}

/// Converts `api-key` and `apiKey` to `API_KEY`.
fn variable_name(name: &str) -> String {
    let mut variable = String::with_capacity(name.len() + 4);
    let mut small = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && small {
            variable.push('_');
        }
        small = c.is_ascii_lowercase();
        variable.push(if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        });
    }
    variable
}

/// Returns the variable for a value of a server. The prefix prevents collisions with variables that the gateway has for
/// another purpose: a server `aws` with a value `secret_access_key` does not read the gateway's key.
pub(super) fn server_variable(server: &ServerId, name: &str) -> String {
    format!(
        "MCP_{}_{}",
        variable_name(server.as_str()),
        variable_name(name)
    )
}
