//! File entries of people: teams, and the members of a gateway.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::schema::value::Typed;

/// A team.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TeamEntry {
    /// Names of the members, as authentication determines them.
    pub members: Vec<Typed>,
    /// Names of the users who may install, rotate and remove the team's credentials. They are members too.
    pub managers: Vec<Typed>,
}

/// Users and teams that may use a gateway.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct MembersEntry {
    /// User names.
    pub users: Vec<Typed>,
    /// Team names, in the order in which the teams' credentials are tried in this gateway. If set, credentials of other
    /// teams are not used in it.
    pub teams: Vec<Typed>,
}
