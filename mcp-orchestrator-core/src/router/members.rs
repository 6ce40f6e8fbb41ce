//! The members of a gateway.

use crate::auth::{Principal, PrincipalKind};
use crate::credential::Owner;
use crate::id::{PrincipalId, TeamId};

/// The principals that may use a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Members {
    /// Every authenticated principal.
    #[default]
    Everybody,
    /// These users, the members and tokens of these teams, and the organization's own tokens.
    These {
        /// The users, by name.
        users: Vec<PrincipalId>,
        /// The teams, in the order in which their credentials are looked up.
        teams: Vec<TeamId>,
    },
}

impl Members {
    /// Returns `true` if this principal may use the gateway.
    pub fn has(&self, principal: &Principal) -> bool {
        let Self::These { users, teams } = self else {
            return true;
        };
        match principal.kind {
            PrincipalKind::User => {
                users.contains(&principal.id)
                    || principal.teams.iter().any(|team| teams.contains(team))
            }
            PrincipalKind::Team => principal.teams.iter().any(|team| teams.contains(team)),
            PrincipalKind::Organization => true,
        }
    }

    /// Returns the teams, in order. Empty if the gateway is open to everyone.
    pub fn teams(&self) -> &[TeamId] {
        match self {
            Self::Everybody => &[],
            Self::These { teams, .. } => teams,
        }
    }

    /// Returns `true` if a credential of this owner may be pinned here. A team's credential may be pinned only in a
    /// gateway of that team. A user's credential may be pinned, but serves only that user.
    pub fn may_pin(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Organization => true,
            Owner::Team(team) => self.teams().contains(team),
            Owner::User(user) => match self {
                Self::Everybody => true,
                // Whether the user belongs to one of the teams is only known at call time.
                Self::These { users, teams } => users.contains(user) || !teams.is_empty(),
            },
        }
    }
}
