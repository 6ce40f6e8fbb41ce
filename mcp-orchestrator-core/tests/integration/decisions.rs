//! Property test over random configurations: a caller never gets a credential of an owner that is not allowed, whatever
//! changes between calls.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Uri;
use mcp_orchestrator_core::auth::{Directory, People, Principal, PrincipalKind, Team};
use mcp_orchestrator_core::credential::{
    CredentialRequest, CredentialResolver as _, CredentialRule, Generation, InstallationKey,
    Installations, InstalledResolver, MemoryCredentials, Owner, Precondition, Revision,
    StoredCredential,
};
use mcp_orchestrator_core::id::{Alias, GatewayId, PrincipalId, ServerId, SlotName, TeamId};
use mcp_orchestrator_core::router::{
    GatewaySpec, Members, Router as _, TableRouter, ToolFilter, ToolNames, ToolOverrides, ViewEntry,
};
use mcp_orchestrator_core::server::{CredentialSlot, Injection, ServerSpec, SlotForm};
use mcp_orchestrator_core::{ErrorKind, Result};
use proptest::prelude::*;
use tokio_util::task::TaskTracker;

const USERS: u8 = 4;
const TEAMS: u8 = 3;
const GATEWAYS: u8 = 3;

/// A change of the world, or a call.
#[derive(Clone, Debug)]
enum Step {
    Install {
        owner: u8,
        expired: bool,
    },
    Remove {
        owner: u8,
    },
    People {
        members: Vec<BTreeSet<u8>>,
    },
    Gateway {
        id: u8,
        users: BTreeSet<u8>,
        teams: Vec<u8>,
        pinned: Option<u8>,
    },
    Call {
        who: u8,
        told: Vec<u8>,
        gateway: u8,
    },
}

fn user(n: u8) -> PrincipalId {
    PrincipalId::new(format!("u{}", n % USERS)).unwrap()
}

fn team(n: u8) -> TeamId {
    TeamId::new(format!("t{}", n % TEAMS)).unwrap()
}

fn owner(n: u8) -> Owner {
    match n % (USERS + TEAMS + 1) {
        n if n < USERS => Owner::User(user(n)),
        n if n < USERS + TEAMS => Owner::Team(team(n - USERS)),
        _ => Owner::Organization,
    }
}

fn gateway(n: u8) -> GatewayId {
    GatewayId::new(format!("g{}", n % GATEWAYS)).unwrap()
}

fn who(n: u8, told: &[u8]) -> Principal {
    match n % (USERS + TEAMS + 1) {
        n if n < USERS => Principal {
            teams: told.iter().map(|n| team(*n)).collect(),
            ..Principal::user(user(n), "test")
        },
        n if n < USERS + TEAMS => Principal::team(&team(n - USERS), "test"),
        _ => Principal::organization("test"),
    }
}

fn step() -> impl Strategy<Value = Step> {
    let few = || prop::collection::btree_set(0..USERS, 0..3);
    let owner = || 0..USERS + TEAMS + 1;
    prop_oneof![
        3 => (owner(), prop::bool::weighted(0.2)).prop_map(|(owner, expired)| Step::Install { owner, expired }),
        1 => owner().prop_map(|owner| Step::Remove { owner }),
        1 => prop::collection::vec(few(), TEAMS as usize).prop_map(|members| Step::People { members }),
        2 => (0..GATEWAYS, few(), prop::collection::vec(0..TEAMS, 0..3), prop::option::of(owner()))
            .prop_map(|(id, users, teams, pinned)| Step::Gateway { id, users, teams, pinned }),
        8 => (owner(), prop::collection::vec(0..TEAMS, 0..2), 0..GATEWAYS)
            .prop_map(|(who, told, gateway)| Step::Call { who, told, gateway }),
    ]
}

/// The system under test, and the state from which the expected decisions follow.
struct World {
    resolver: Arc<InstalledResolver>,
    directory: Directory,
    router: TableRouter,
    server: ServerSpec,
    installed: BTreeMap<Owner, bool>,
    people: Vec<BTreeSet<u8>>,
    gateways: BTreeMap<GatewayId, (Members, CredentialRule)>,
    _tasks: TaskTracker,
}

impl World {
    async fn new() -> Self {
        let id = ServerId::new("jira").unwrap();
        let mut server = ServerSpec::remote(id, Uri::from_static("http://jira/mcp"));
        server.slots.push(CredentialSlot {
            name: SlotName::new("token").unwrap(),
            description: None,
            required: true,
            inject: Injection::Env("TOKEN".into()),
            form: SlotForm::default(),
        });
        let (tasks, store) = (TaskTracker::new(), Arc::new(MemoryCredentials::new()));
        let installations = Installations::new(store);
        Self {
            resolver: InstalledResolver::open(installations, &tasks)
                .await
                .unwrap(),
            directory: Directory::default(),
            router: TableRouter::default(),
            server,
            installed: BTreeMap::new(),
            people: vec![BTreeSet::new(); TEAMS as usize],
            gateways: BTreeMap::new(),
            _tasks: tasks,
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Install { owner: n, expired } => self.install(owner(n), expired).await,
            Step::Remove { owner: n } => {
                let key = self.key(owner(n));
                let installations = self.resolver.installations();
                installations.delete(&key, Precondition::Any).await.unwrap();
                self.resolver.seen(&key).await.unwrap();
                self.installed.remove(&key.owner);
            }
            Step::People { members } => {
                let teams = members.iter().zip(0..).map(|(members, n)| Team {
                    id: team(n),
                    members: members.iter().map(|n| user(*n)).collect(),
                    managers: vec![],
                });
                let people = People {
                    teams: teams.collect(),
                    admins: vec![],
                };
                self.directory.replace(&people);
                self.people = members;
            }
            Step::Gateway {
                id,
                users,
                teams,
                pinned,
            } => {
                self.configure(gateway(id), users, teams, pinned);
            }
            Step::Call {
                who: n,
                told,
                gateway: id,
            } => {
                let asked = who(n, &told);
                let principal = self.directory.complete(Arc::new(asked));
                self.call(&principal, &told, &gateway(id)).await;
            }
        }
    }

    fn configure(
        &mut self,
        id: GatewayId,
        users: BTreeSet<u8>,
        teams: Vec<u8>,
        pinned: Option<u8>,
    ) {
        let members = Members::These {
            users: users.into_iter().map(user).collect(),
            teams: teams.into_iter().map(team).collect(),
        };
        let rule = pinned.map_or(CredentialRule::Resolve, |n| {
            CredentialRule::Pinned(owner(n))
        });
        self.gateways.insert(id, (members, rule));
        self.router.replace(
            self.gateways
                .iter()
                .map(|(id, (members, rule))| GatewaySpec {
                    id: id.clone(),
                    members: members.clone(),
                    names: ToolNames::Auto,
                    entries: vec![ViewEntry {
                        alias: Alias::from(&self.server.id),
                        server: self.server.id.clone(),
                        credential: rule.clone(),
                        tools: ToolFilter::All,
                        overrides: ToolOverrides::default(),
                    }],
                }),
        );
    }

    fn key(&self, owner: Owner) -> InstallationKey {
        InstallationKey {
            server: self.server.id.clone(),
            owner,
        }
    }

    async fn install(&mut self, owner: Owner, expired: bool) {
        let end = if expired {
            SystemTime::UNIX_EPOCH
        } else {
            SystemTime::now() + Duration::from_hours(1)
        };
        let stored = StoredCredential {
            revision: Revision::new("r"),
            generation: Generation::default(),
            values: BTreeMap::from([(SlotName::new("token").unwrap(), owner.to_string().into())]),
            settings: BTreeMap::new(),
            expires_at: Some(end),
            renewal: None,
        };
        let key = self.key(owner.clone());
        let installations = self.resolver.installations();
        installations
            .put(&key, &stored, Precondition::Any)
            .await
            .unwrap();
        self.resolver.seen(&key).await.unwrap();
        self.installed.insert(owner, expired);
    }

    /// Returns `true` if this principal is in a team, computed without the code under test.
    fn is_in(&self, principal: &Principal, told: &[u8], n: u8) -> bool {
        match principal.kind {
            PrincipalKind::User => {
                let named = |m: &u8| user(*m) == principal.id;
                self.people[n as usize].iter().any(named) || told.contains(&n)
            }
            PrincipalKind::Team => principal.id.as_str() == format!("team/t{n}"),
            PrincipalKind::Organization => false,
        }
    }

    /// Returns `true` if the principal may use this owner's credential: a second implementation of the rules, as simple
    /// as possible.
    fn may_use(&self, principal: &Principal, told: &[u8], id: &GatewayId, owner: &Owner) -> bool {
        let Some((members, rule)) = self.gateways.get(id) else {
            return false;
        };
        let Members::These { users, teams } = members else {
            return false;
        };
        let in_listed =
            (0..TEAMS).any(|n| teams.contains(&team(n)) && self.is_in(principal, told, n));
        let is_user = principal.kind == PrincipalKind::User;
        let enters = match principal.kind {
            PrincipalKind::User => users.contains(&principal.id) || in_listed,
            PrincipalKind::Team => in_listed,
            PrincipalKind::Organization => true,
        };
        let own = match owner {
            Owner::User(user) => is_user && *user == principal.id,
            Owner::Team(_) | Owner::Organization => true,
        };
        let team_is_theirs =
            |of: &TeamId| (0..TEAMS).any(|n| team(n) == *of && self.is_in(principal, told, n));
        enters
            && own
            && match (rule, owner) {
                (CredentialRule::Pinned(pinned), Owner::Team(of)) => {
                    pinned == owner && teams.contains(of)
                }
                (CredentialRule::Pinned(pinned), _) => pinned == owner,
                (_, Owner::Team(of)) => {
                    team_is_theirs(of) && (teams.is_empty() || teams.contains(of))
                }
                _ => true,
            }
    }

    async fn call(&self, principal: &Principal, told: &[u8], id: &GatewayId) {
        let answer = self.decide(principal, id).await;
        let mut usable: Vec<&Owner> = self.installed.keys().collect();
        usable.retain(|owner| self.may_use(principal, told, id, owner));
        match answer {
            Ok(Some(owner)) => {
                assert!(
                    usable.contains(&&owner),
                    "{principal:?} at {id} uses {owner}"
                );
                assert!(!self.installed[&owner], "{owner} has expired");
                let own = Owner::User(principal.id.clone());
                assert!(
                    owner == own || !usable.contains(&&own),
                    "their own comes first"
                );
                let organization = owner == Owner::Organization;
                assert!(
                    !organization || usable == [&Owner::Organization],
                    "it comes last"
                );
            }
            Ok(None) => assert!(
                usable.is_empty(),
                "{principal:?} at {id} may use {usable:?}"
            ),
            Err(error) if error.kind() == ErrorKind::CredentialExpired => {
                assert!(usable.iter().any(|owner| self.installed[*owner]), "{error}");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::CredentialMissing);
                assert!(usable.is_empty(), "{error}: {usable:?}");
            }
        }
    }

    async fn decide(&self, principal: &Principal, id: &GatewayId) -> Result<Option<Owner>> {
        let Ok(view) = self.router.view(principal, id) else {
            return Ok(None);
        };
        let Some(entry) = view.entries.first() else {
            return Ok(None);
        };
        let request = CredentialRequest {
            principal,
            server: &self.server,
            rule: &entry.credential,
            rejected: None,
            token: None,
        };
        let found = self.resolver.resolve(request).await?;
        Ok(found.map(|credential| credential.owner.clone()))
    }
}

proptest! {
    #[test]
    fn decisions_never_cross_owners(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.take(step).await;
            }
        });
    }
}
