//! File entries of people: teams, and the members of a gateway.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::Typed;

/// A team.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TeamEntry {
    /// Who is in it, by the names that the authentication tells.
    pub members: Vec<Typed>,
    /// Who may install, rotate and remove its credentials; they are members too.
    pub managers: Vec<Typed>,
}

/// Who may use a gateway: these users and teams.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MembersEntry {
    /// Users, by name.
    pub users: Vec<Typed>,
    /// Teams, in the order in which their credentials are looked for in this gateway; no other team's is used there.
    pub teams: Vec<Typed>,
}
