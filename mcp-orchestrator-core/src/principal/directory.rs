//! Directory of users: team membership, team managers and admins.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Principal, PrincipalKind};
use crate::id::{Owner, PrincipalId, TeamId};

/// Configured teams and admins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// In the order in which their credentials are tried.
    pub teams: Vec<Team>,
    /// Users with administrative access.
    pub admins: Vec<PrincipalId>,
}

/// One team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// Name of the team.
    pub id: TeamId,
    /// Users in the team. Managers need not be listed.
    pub members: Vec<PrincipalId>,
    /// Users who may install, rotate and remove the team's credentials. They are members too.
    pub managers: Vec<PrincipalId>,
}

/// Teams and admins of one orchestrator: a snapshot that is replaced as a whole, so that a user who is removed from a
/// team has left it at the next call.
#[derive(Debug, Default)]
pub struct Directory(ArcSwap<Index>);

#[derive(Debug, Default)]
struct Index {
    teams: HashMap<PrincipalId, Vec<TeamId>>,
    /// Teams of a user in earlier configurations that the current one does not contain.
    left: HashMap<PrincipalId, HashSet<TeamId>>,
    managers: HashMap<TeamId, HashSet<PrincipalId>>,
    admins: HashSet<PrincipalId>,
}

impl Index {
    fn is_admin(&self, principal: &Principal) -> bool {
        principal.kind == PrincipalKind::User && self.admins.contains(&principal.id)
    }

    fn complete(&self, principal: Arc<Principal>) -> Arc<Principal> {
        if principal.kind != PrincipalKind::User {
            return principal;
        }
        let Some(teams) = self.teams.get(&principal.id) else {
            return principal;
        };
        let told = principal.teams.iter().filter(|team| !teams.contains(team));
        let all: Vec<TeamId> = teams.iter().chain(told).cloned().collect();
        if all == principal.teams {
            return principal;
        }
        let mut completed = Principal::clone(&principal);
        completed.teams = all;
        Arc::new(completed)
    }
}

impl Directory {
    /// Creates a directory with these teams and admins.
    pub fn new(people: &People) -> Self {
        let directory = Self::default();
        directory.replace(people);
        directory
    }

    /// Replaces the teams and admins.
    pub fn replace(&self, people: &People) {
        let mut index = Index {
            admins: people.admins.iter().cloned().collect(),
            ..Index::default()
        };
        for team in &people.teams {
            for user in team.members.iter().chain(&team.managers) {
                let teams = index.teams.entry(user.clone()).or_default();
                if !teams.contains(&team.id) {
                    teams.push(team.id.clone());
                }
            }
            let managers = team.managers.iter().cloned().collect();
            index.managers.insert(team.id.clone(), managers);
        }
        index.left = left(&self.0.load(), &index.teams);
        self.0.store(Arc::new(index));
    }

    /// Updates a principal that was completed earlier: adds its current teams and removes those it has left since. That
    /// includes teams that its token named as well, until the token is presented again.
    pub fn renew(&self, principal: &Arc<Principal>) -> Arc<Principal> {
        let index = self.0.load();
        let has_left = index.left.get(&principal.id).filter(|left| {
            principal.kind == PrincipalKind::User
                && principal.teams.iter().any(|team| left.contains(team))
        });
        let Some(left) = has_left else {
            return self.complete(Arc::clone(principal));
        };
        let mut renewed = Principal::clone(principal);
        renewed.teams.retain(|team| !left.contains(team));
        self.complete(Arc::new(renewed))
    }

    /// Adds the user's teams: those of the directory, in its order, then the remaining ones that the token named.
    pub fn complete(&self, principal: Arc<Principal>) -> Arc<Principal> {
        self.0.load().complete(principal)
    }

    /// Like [`complete`](Self::complete). Also returns `true` if the directory lists the user as an admin.
    pub(crate) fn known(&self, principal: Arc<Principal>) -> (Arc<Principal>, bool) {
        let index = self.0.load();
        let is_admin = index.is_admin(&principal);
        (index.complete(principal), is_admin)
    }

    /// Returns `true` if the configuration contains this owner: a team, or a user in a team or among the admins.
    pub fn knows(&self, owner: &Owner) -> bool {
        let index = self.0.load();
        match owner {
            Owner::User(user) => index.teams.contains_key(user) || index.admins.contains(user),
            Owner::Team(team) => index.managers.contains_key(team),
            Owner::Organization => true,
        }
    }

    /// Returns `true` if the directory lists this user as an admin.
    pub fn is_admin(&self, principal: &Principal) -> bool {
        self.0.load().is_admin(principal)
    }

    /// Returns `true` if a principal may install, rotate and remove credentials of this owner: users their own,
    /// managers those of their team. Administrative access is not considered.
    pub fn manages(&self, principal: &Principal, owner: &Owner) -> bool {
        if principal.kind != PrincipalKind::User {
            return false;
        }
        match owner {
            Owner::User(user) => *user == principal.id,
            Owner::Team(team) => {
                let index = self.0.load();
                let managers = index.managers.get(team);
                managers.is_some_and(|managers| managers.contains(&principal.id))
            }
            Owner::Organization => false,
        }
    }
}

/// Returns the teams that each user has left: those of the earlier index that `teams` does not contain.
fn left(
    before: &Index,
    teams: &HashMap<PrincipalId, Vec<TeamId>>,
) -> HashMap<PrincipalId, HashSet<TeamId>> {
    let mut left = before.left.clone();
    for (user, had) in &before.teams {
        left.entry(user.clone()).or_default().extend(had.clone());
    }
    left.retain(|user, gone| {
        if let Some(has) = teams.get(user) {
            gone.retain(|team| !has.contains(team));
        }
        !gone.is_empty()
    });
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, told: &[&str]) -> Arc<Principal> {
        let mut principal = Principal::user(PrincipalId::new(name).unwrap(), "test");
        principal.teams = told.iter().map(|name| TeamId::new(name).unwrap()).collect();
        Arc::new(principal)
    }

    fn ids<T>(names: &[&str], new: impl Fn(&str) -> T) -> Vec<T> {
        names.iter().map(|name| new(name)).collect()
    }

    fn people() -> People {
        let user = |name: &str| PrincipalId::new(name).unwrap();
        let team = |name, members, managers| Team {
            id: TeamId::new(name).unwrap(),
            members: ids(members, user),
            managers: ids(managers, user),
        };
        People {
            teams: vec![
                team("ops", &["bob"], &["ann"]),
                team("dev", &["ann", "bob"], &[]),
            ],
            admins: ids(&["root"], user),
        }
    }

    #[test]
    fn teams_come_in_the_directorys_order() {
        let directory = Directory::new(&people());
        let teams = |principal: Arc<Principal>| -> Vec<String> {
            let completed = directory.complete(principal);
            completed.teams.iter().map(ToString::to_string).collect()
        };
        assert_eq!(teams(user("ann", &[])), ["ops", "dev"]);
        assert_eq!(teams(user("ann", &["x", "dev"])), ["ops", "dev", "x"]);
        assert_eq!(teams(user("eve", &["x"])), ["x"]);
        let mut left = people();
        left.teams[0].managers.clear();
        directory.replace(&left);
        assert_eq!(teams(user("ann", &[])), ["dev"]);
    }

    #[test]
    fn renewed_principal_loses_teams_removed_from_the_directory() {
        let directory = Directory::new(&people());
        let bob = directory.complete(user("bob", &["x"]));
        let teams = |principal: &Arc<Principal>| -> Vec<String> {
            let renewed = directory.renew(principal);
            renewed.teams.iter().map(ToString::to_string).collect()
        };
        assert_eq!(teams(&bob), ["ops", "dev", "x"]);
        let mut left = people();
        left.teams[0].members.clear();
        directory.replace(&left);
        assert_eq!(teams(&bob), ["dev", "x"]);
        // Still removed after further, unrelated changes.
        directory.replace(&left);
        assert_eq!(teams(&bob), ["dev", "x"]);
        directory.replace(&people());
        assert_eq!(teams(&bob), ["ops", "dev", "x"]);
        directory.replace(&People::default());
        assert_eq!(teams(&bob), ["x"]);
    }

    #[test]
    fn managers_are_listed_apart_from_members() {
        let directory = Directory::new(&people());
        let ops = Owner::Team(TeamId::new("ops").unwrap());
        assert!(directory.manages(&user("ann", &[]), &ops));
        assert!(!directory.manages(&user("bob", &[]), &ops));
        assert!(!directory.manages(&user("ann", &[]), &Owner::Organization));
        let own = Owner::User(PrincipalId::new("bob").unwrap());
        assert!(directory.manages(&user("bob", &[]), &own));
        assert!(!directory.manages(&user("ann", &[]), &own));
        assert!(directory.is_admin(&user("root", &[])) && !directory.is_admin(&user("ann", &[])));
    }
}
