//! The credential rule of a server in a gateway, and the order of owners that it yields for a caller.

use std::sync::Arc;

use super::Owner;
use crate::auth::{Principal, PrincipalKind};
use crate::id::TeamId;

/// Which owner's credential is used to call a gateway's server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum CredentialRule {
    /// No credential: the server has no slots.
    None,
    /// Always this owner's.
    Pinned(Owner),
    /// The caller's own, else a team's, else the organization's. Teams are tried in the order of the caller's teams.
    #[default]
    Resolve,
    /// Same as `Resolve`, but only with these teams, in this order.
    ResolveAmong(Arc<[TeamId]>),
}

impl CredentialRule {
    /// Returns the owners to consider for this caller, in order of preference. The first owner that has a credential
    /// decides, even if it has expired: no other owner's is used in its place.
    pub fn owners<'a>(&'a self, principal: &'a Principal) -> impl Iterator<Item = Owner> + 'a {
        let (own, teams, organization) = match self {
            Self::None => (None, [].iter(), None),
            Self::Pinned(owner) => (Some(owner.clone()), [].iter(), None),
            Self::Resolve => (
                own(principal),
                teams(principal).iter(),
                Some(Owner::Organization),
            ),
            Self::ResolveAmong(order) => (
                own(principal),
                if principal.kind == PrincipalKind::User {
                    order.iter()
                } else {
                    [].iter()
                },
                Some(Owner::Organization),
            ),
        };
        let among = matches!(self, Self::ResolveAmong(_));
        let teams = teams
            .filter(move |team| !among || principal.teams.contains(team))
            .map(|team| Owner::Team(team.clone()));
        own.into_iter().chain(teams).chain(organization)
    }
}

/// Returns the caller's own owner: the user, or the team that a token acts for.
fn own(principal: &Principal) -> Option<Owner> {
    match principal.kind {
        PrincipalKind::User => Some(Owner::User(principal.id.clone())),
        PrincipalKind::Team => principal.teams.first().cloned().map(Owner::Team),
        PrincipalKind::Organization => None,
    }
}

fn teams(principal: &Principal) -> &[TeamId] {
    match principal.kind {
        PrincipalKind::User => &principal.teams,
        PrincipalKind::Team | PrincipalKind::Organization => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PrincipalId;

    fn team(name: &str) -> TeamId {
        TeamId::new(name).unwrap()
    }

    fn principal(kind: PrincipalKind, id: &str, teams: &[&str]) -> Principal {
        Principal {
            kind,
            teams: teams.iter().map(|name| team(name)).collect(),
            ..Principal::user(PrincipalId::new(id).unwrap(), "test")
        }
    }

    #[test]
    fn owners_are_tried_in_the_order_of_the_rule() {
        use PrincipalKind as K;
        let among = |names: &[&str]| {
            CredentialRule::ResolveAmong(names.iter().map(|name| team(name)).collect())
        };
        let pinned = |text: &str| {
            CredentialRule::Pinned(match text {
                "organization" => Owner::Organization,
                name => Owner::Team(team(name)),
            })
        };
        let ann = || principal(K::User, "ann", &["ops", "dev"]);
        let ops = || principal(K::Team, "team/ops", &["ops"]);
        let all = || principal(K::Organization, "acme", &[]);
        let rows: [(CredentialRule, Principal, &[&str]); 14] = [
            (CredentialRule::None, ann(), &[]),
            (
                CredentialRule::Resolve,
                ann(),
                &["user/ann", "team/ops", "team/dev", "organization"],
            ),
            (
                CredentialRule::Resolve,
                ops(),
                &["team/ops", "organization"],
            ),
            (CredentialRule::Resolve, all(), &["organization"]),
            (
                among(&["dev", "ops"]),
                ann(),
                &["user/ann", "team/dev", "team/ops", "organization"],
            ),
            (
                among(&["dev"]),
                ann(),
                &["user/ann", "team/dev", "organization"],
            ),
            (among(&["other"]), ann(), &["user/ann", "organization"]),
            (among(&["other"]), ops(), &["team/ops", "organization"]),
            (among(&["ops"]), all(), &["organization"]),
            (among(&[]), ann(), &["user/ann", "organization"]),
            (pinned("organization"), ann(), &["organization"]),
            (pinned("dev"), ann(), &["team/dev"]),
            (pinned("dev"), ops(), &["team/dev"]),
            (pinned("dev"), all(), &["team/dev"]),
        ];
        for (rule, principal, expected) in rows {
            let found: Vec<String> = rule
                .owners(&principal)
                .map(|owner| owner.to_string())
                .collect();
            assert_eq!(found, expected, "{rule:?} {principal:?}");
        }
    }
}
