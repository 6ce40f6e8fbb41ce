//! A reference model of which principal may reach which instance, as simple as possible.

use std::collections::{BTreeMap, BTreeSet};

use mcp_orchestrator_core::credential::{CredentialRule, Owner};
use mcp_orchestrator_core::router::{GatewaySpec, ToolFilter};

use crate::authority::site::{entry, gateway, hiding, team, user};

pub(crate) const USERS: [&str; 3] = ["u0", "u1", "u2"];
pub(crate) const TEAMS: [&str; 2] = ["t0", "t1"];
pub(crate) const GATEWAYS: [&str; 2] = ["g0", "g1"];
/// Servers with shared instances, with one per principal, and with one per session and no credential.
pub(crate) const SERVERS: [&str; 3] = ["s", "p", "o"];

/// A server, an owner and a revision.
pub(crate) type Reach = (String, String, String);

/// One gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    pub(crate) users: BTreeSet<usize>,
    pub(crate) teams: BTreeSet<usize>,
    /// The servers of the gateway, each with the owner of a pinned credential, and `true` if a tool is hidden.
    pub(crate) servers: BTreeMap<usize, (Option<usize>, bool)>,
}

/// The state of the site.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// Revisions of installed credentials, by server and owner.
    pub(crate) installed: BTreeMap<(usize, usize), u64>,
    pub(crate) teams: [BTreeSet<usize>; 2],
    pub(crate) gates: [Gate; 2],
    pub(crate) applied: BTreeSet<usize>,
}

/// Number of owners: users, teams, and the organization.
pub(crate) const OWNERS: usize = USERS.len() + TEAMS.len() + 1;

pub(crate) fn owner(n: usize) -> Owner {
    match n % OWNERS {
        n if n < USERS.len() => Owner::User(user(USERS[n])),
        n if n < USERS.len() + TEAMS.len() => Owner::Team(team(TEAMS[n - USERS.len()])),
        _ => Owner::Organization,
    }
}

impl Model {
    fn enters(&self, who: usize, gate: &Gate) -> bool {
        let of_team = |team: &usize| self.teams[*team].contains(&who);
        gate.users.contains(&who) || gate.teams.iter().any(of_team)
    }

    /// Returns `true` if a user may use an owner's credential through a gateway.
    fn may(&self, who: usize, gate: &Gate, pinned: Option<usize>, of: usize) -> bool {
        let theirs = match of {
            n if n < USERS.len() => n == who,
            n if n < USERS.len() + TEAMS.len() => {
                let team = n - USERS.len();
                let listed = gate.teams.is_empty() || gate.teams.contains(&team);
                match pinned {
                    // A pinned team credential can be used by all users with access to a gateway of that team.
                    Some(_) => gate.teams.contains(&team),
                    None => self.teams[team].contains(&who) && listed,
                }
            }
            _ => true,
        };
        theirs && pinned.is_none_or(|pinned| pinned == of)
    }

    /// Returns the instances that a user may reach through a gateway.
    pub(crate) fn reach(&self, who: usize, gate: usize) -> BTreeSet<Reach> {
        let (gate, mut reach) = (&self.gates[gate], BTreeSet::new());
        if !self.enters(who, gate) {
            return reach;
        }
        for (server, (pinned, _)) in &gate.servers {
            if !self.applied.contains(server) {
                continue;
            }
            let name = SERVERS[*server].to_owned();
            if name == "o" {
                reach.insert((name, "organization".into(), "none".into()));
                continue;
            }
            for ((of_server, of), revision) in &self.installed {
                if of_server == server && self.may(who, gate, *pinned, *of) {
                    let place = (name.clone(), owner(*of).to_string(), format!("r{revision}"));
                    reach.insert(place);
                }
            }
        }
        reach
    }

    /// Returns the instance that a user's calls to a server go to; `None` if it cannot be told from the model.
    pub(crate) fn choice(&self, who: usize, gate: usize, server: usize) -> Option<Reach> {
        let mut own: Vec<_> = self.reach(who, gate).into_iter().collect();
        own.retain(|(name, ..)| name == SERVERS[server]);
        // A user's own credential comes first, then those of teams, in an order that the model does not know.
        for kind in ["user/", "team/", ""] {
            let of_kind: Vec<_> = own
                .iter()
                .filter(|(_, owner, _)| owner.starts_with(kind))
                .collect();
            match of_kind[..] {
                [] => {}
                [only] => return Some(only.clone()),
                _ => return None,
            }
        }
        None
    }

    /// Returns `true` if a gateway hides the tool `hidden` of a server.
    pub(crate) fn hides(&self, gate: usize, server: &str) -> bool {
        let mut servers = self.gates[gate].servers.iter();
        servers.any(|(n, (_, hides))| SERVERS[*n] == server && *hides)
    }

    pub(crate) fn specs(&self) -> Vec<GatewaySpec> {
        let spec = |(n, gate): (usize, &Gate)| {
            let users: Vec<_> = gate.users.iter().map(|n| USERS[*n]).collect();
            let teams: Vec<_> = gate.teams.iter().map(|n| TEAMS[*n]).collect();
            let entries = gate.servers.iter().map(|(n, (pinned, hides))| {
                let rule = match (SERVERS[*n], pinned) {
                    ("o", _) => CredentialRule::None,
                    (_, Some(pinned)) => CredentialRule::Pinned(owner(*pinned)),
                    (_, None) => CredentialRule::Resolve,
                };
                let tools = if *hides {
                    hiding("hidden")
                } else {
                    ToolFilter::All
                };
                entry(SERVERS[*n], rule, tools)
            });
            gateway(GATEWAYS[n], &users, &teams, entries.collect())
        };
        self.gates.iter().enumerate().map(spec).collect()
    }

    pub(crate) fn members(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let members = |n: usize| self.teams[n].iter().map(|who| USERS[*who]).collect();
        TEAMS
            .iter()
            .enumerate()
            .map(|(n, name)| (*name, members(n)))
            .collect()
    }
}
