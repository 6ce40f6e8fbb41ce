//! The caller of a request, and the directory of teams and administrators.

mod directory;

pub use self::directory::{Directory, People, Team};
use crate::id::{PrincipalId, TeamId};

const TEAM: &str = "team/";
const ORGANIZATION: &str = "organization";

/// The caller. It has no field for a token, so that a client's token cannot be forwarded upstream by accident.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Name, unique among principals of every kind.
    pub id: PrincipalId,
    /// User, team or organization.
    pub kind: PrincipalKind,
    /// Teams of the user, in the directory's order.
    pub teams: Vec<TeamId>,
    /// Authentication method, for example `local` or `jwt`.
    pub method: &'static str,
}

/// Kind of a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person or an agent.
    User,
    /// The token of a team, which is its only team.
    Team,
    /// The token of the organization.
    Organization,
}

impl Principal {
    /// Creates a user without teams.
    pub fn user(id: PrincipalId, method: &'static str) -> Self {
        Self {
            id,
            kind: PrincipalKind::User,
            teams: Vec::new(),
            method,
        }
    }

    /// Creates the principal of a team's token.
    ///
    /// # Panics
    /// Never: the length of a team name is limited.
    pub fn team(team: &TeamId, method: &'static str) -> Self {
        let id = PrincipalId::new(format!("{TEAM}{team}"));
        Self {
            id: id.expect("a team's name with its kind is a name"),
            kind: PrincipalKind::Team,
            teams: vec![team.clone()],
            method,
        }
    }

    /// Creates the principal of the organization's token.
    ///
    /// # Panics
    /// Never: the fixed name is valid.
    pub fn organization(method: &'static str) -> Self {
        Self {
            id: PrincipalId::new(ORGANIZATION).expect("the word is a name"),
            kind: PrincipalKind::Organization,
            teams: Vec::new(),
            method,
        }
    }

    /// Returns `true` if the name matches the kind: no user is called `organization` or `team/…`. Gateways reject other
    /// principals, because they could be mistaken for someone else.
    pub fn is_well_named(&self) -> bool {
        let team = self.id.as_str().strip_prefix(TEAM);
        match self.kind {
            PrincipalKind::User => team.is_none() && self.id.as_str() != ORGANIZATION,
            PrincipalKind::Team => {
                matches!(&self.teams[..], [only] if Some(only.as_str()) == team)
            }
            PrincipalKind::Organization => self.id.as_str() == ORGANIZATION,
        }
    }
}
