//! Resolves teams, admins and members.

use std::collections::BTreeMap;

use crate::auth::{People, Team};
use crate::config::resolve::scope::Scope;
use crate::config::schema::file::File;
use crate::config::schema::people::{MembersEntry, TeamEntry};
use crate::config::schema::value::Typed;
use crate::id::{InvalidId, TeamId};
use crate::router::Members;

/// Applies the teams and admins of a file: a team of a later file replaces an earlier one, admins accumulate.
pub(crate) fn apply(scope: &mut Scope<'_>, people: &mut People, file: &File) {
    for (name, entry) in file.teams.iter().flat_map(|teams| &teams.0) {
        let path = scope.path.key("teams").key(name);
        let id = match TeamId::new(name) {
            Ok(id) => id,
            Err(error) => {
                scope.problem_at_key(&path, error.to_string());
                continue;
            }
        };
        let team = team(&mut scope.below(path.clone()), id, entry);
        match people.teams.iter_mut().find(|known| known.id == team.id) {
            Some(known) => {
                let position = scope.source.key_position(&path);
                let text = "also set in an earlier file; this value is used";
                let file = &scope.source.file;
                scope.report.notice(file, position, &path, text);
                *known = team;
            }
            None => people.teams.push(team),
        }
    }
    let admins = names(scope, "admins", file.admins.as_deref().unwrap_or_default());
    people.admins.extend(admins);
}

fn team(scope: &mut Scope<'_>, id: TeamId, entry: &TeamEntry) -> Team {
    let members = names(scope, "members", &entry.members);
    let managers = names(scope, "managers", &entry.managers);
    Team {
        id,
        members,
        managers,
    }
}

/// Resolves the members of a gateway. Reports an empty list, because no one could use the gateway.
pub(crate) fn members(scope: &mut Scope<'_>, entry: &MembersEntry) -> Members {
    let users = names(scope, "users", &entry.users);
    let teams: Vec<TeamId> = names(scope, "teams", &entry.teams);
    let mut seen = BTreeMap::new();
    for team in &teams {
        if seen.insert(team.clone(), ()).is_some() {
            scope.problem("teams", format!("duplicate team {team}"));
        }
    }
    if entry.users.is_empty() && entry.teams.is_empty() {
        scope.problem(
            "",
            "set `users` or `teams`; otherwise nobody can use this gateway",
        );
    }
    Members::These { users, teams }
}

fn names<T: std::str::FromStr<Err = InvalidId>>(
    scope: &mut Scope<'_>,
    key: &str,
    typed: &[Typed],
) -> Vec<T> {
    let mut names = Vec::with_capacity(typed.len());
    for (index, typed) in typed.iter().enumerate() {
        let path = scope.path.key(key).index(index);
        let Some(text) = scope.text(&path, typed, None) else {
            continue;
        };
        let name = text
            .expose()
            .parse::<T>()
            .map_err(|error| error.to_string());
        names.extend(scope.check(&path, name));
    }
    names
}
