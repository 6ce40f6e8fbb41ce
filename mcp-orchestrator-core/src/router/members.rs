//! Who may use a gateway.

use crate::auth::{Principal, PrincipalKind};
use crate::credential::Owner;
use crate::id::{PrincipalId, TeamId};

/// Who may use a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Members {
    /// Whoever the authenticators know.
    #[default]
    Everybody,
    /// These users, the members and tokens of these teams, and the organization's own tokens.
    These {
        /// By name.
        users: Vec<PrincipalId>,
        /// In the order in which their credentials are looked for.
        teams: Vec<TeamId>,
    },
}

impl Members {
    /// Whether it is for this principal.
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

    /// Its teams, in order; none where it is nobody's in particular.
    pub fn teams(&self) -> &[TeamId] {
        match self {
            Self::Everybody => &[],
            Self::These { teams, .. } => teams,
        }
    }

    /// Whether a credential of this owner may be pinned here: a team's only in a gateway of that team. A user's may be,
    /// and serves that user alone.
    pub fn may_pin(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Organization => true,
            Owner::Team(team) => self.teams().contains(team),
            Owner::User(user) => match self {
                Self::Everybody => true,
                // Whether one of the teams is the user's, only a call can tell.
                Self::These { users, teams } => users.contains(user) || !teams.is_empty(),
            },
        }
    }
}
