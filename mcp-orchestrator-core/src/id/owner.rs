//! Owners of credentials.

use std::fmt;
use std::str::FromStr;

use super::{InvalidId, PrincipalId, TeamId};

/// Owner of a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// A user.
    User(PrincipalId),
    /// A team.
    Team(TeamId),
    /// Everyone.
    Organization,
}

/// Kind of an [`Owner`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnerKind {
    /// A user.
    User,
    /// A team.
    Team,
    /// Everyone.
    Organization,
}

impl OwnerKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::User, Self::Team, Self::Organization];

    /// Returns the name used in configuration files and in `Display` of [`Owner`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Team => "team",
            Self::Organization => "organization",
        }
    }
}

impl Owner {
    /// Returns the kind of this owner.
    pub fn kind(&self) -> OwnerKind {
        match self {
            Self::User(_) => OwnerKind::User,
            Self::Team(_) => OwnerKind::Team,
            Self::Organization => OwnerKind::Organization,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user/{id}"),
            Self::Team(id) => write!(f, "team/{id}"),
            Self::Organization => f.write_str("organization"),
        }
    }
}

/// Error for a text that is not an owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOwner {
    /// The text has none of the known forms.
    #[error("an owner is user/ID, team/ID or organization")]
    Kind,
    /// The name of the user or team is invalid.
    #[error(transparent)]
    Name(#[from] InvalidId),
}

/// Parses the `Display` form.
impl FromStr for Owner {
    type Err = InvalidOwner;

    fn from_str(text: &str) -> Result<Self, InvalidOwner> {
        match text.split_once('/') {
            Some(("user", id)) => Ok(Self::User(PrincipalId::new(id)?)),
            Some(("team", id)) => Ok(Self::Team(TeamId::new(id)?)),
            None if text == "organization" => Ok(Self::Organization),
            _ => Err(InvalidOwner::Kind),
        }
    }
}
