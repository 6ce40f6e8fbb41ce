//! Invariants of a random world.

use std::collections::HashMap;

use mcp_orchestrator_core::id::SessionId;
use mcp_orchestrator_core::runtime::{InstanceKey, Scope};

use crate::authority::mind::ReceivedMessage;
use crate::authority::model::{Model, Reach, SERVERS, USERS};
use crate::authority::session::drain_open;
use crate::authority::worlds::{Receiver, World};

/// Returns the resource of a server.
fn resource(server: usize) -> String {
    format!("mem://{}/a", SERVERS[server])
}

fn place(key: &InstanceKey) -> Reach {
    let (server, owner) = (key.server().to_string(), key.owner().to_string());
    (server, owner, key.revision().to_string())
}

impl World<'_> {
    /// Checks that each receiver got only messages of instances that it may use, and only about its own tasks.
    pub(crate) fn hear(&mut self) {
        let past = &self.past;
        let ears = self.seats.iter_mut().map(|seat| &mut seat.ear);
        for ear in ears.chain(&mut self.ears) {
            for message in drain_open(&mut ear.stream) {
                let told = &message["params"]["told"];
                let Some(step) = told["step"].as_u64() else {
                    continue;
                };
                let since = usize::try_from(step).unwrap();
                let may = past[since..].iter().any(|model| {
                    let reach = model.reach(ear.who, ear.gate);
                    let mut reach = reach.iter();
                    reach.any(|(server, owner, _)| {
                        told["server"] == server.as_str() && told["owner"] == owner.as_str()
                    })
                });
                // An instance that is ending may still send messages to callers that could use it before.
                let was = past
                    .iter()
                    .any(|model| !model.reach(ear.who, ear.gate).is_empty());
                let open = ear.revoked.is_none_or(|revoked| since < revoked);
                assert!(may && was && open, "{} hears {message}", USERS[ear.who]);
                let scope = &told["scope"];
                assert!(scope.is_null() || *scope == USERS[ear.who], "{message}");
                let of = &message["params"]["for"];
                assert!(of.is_null() || *of == USERS[ear.who], "{message}");
            }
        }
    }

    /// Checks that the subscriptions at each running instance are those that open and permitted streams and sessions
    /// want. Nothing else happens at this moment.
    pub(crate) fn check_subscriptions(&self) {
        let at = self.site.mind.subscribed_at();
        let running = self.site.mind.running();
        let ears = self.seats.iter().map(|seat| (&seat.ear, true));
        let ears = ears.chain(self.ears.iter().map(|ear| (ear, false)));
        let ears: Vec<_> = ears
            .filter(|(ear, _)| ear.stream.is_some() && ear.revoked.is_none())
            .collect();
        for (key, uri) in &at {
            let wanted = ears.iter().any(|(ear, has_session)| {
                let mut wants = ear.wants.known.union(&ear.wants.unsure);
                wants.any(|n| *uri == resource(*n))
                    && self.serves(ear, *has_session, key) != Some(false)
            });
            assert!(wanted, "{key} has a subscription to {uri} for nobody");
        }
        for (ear, has_session) in &ears {
            for n in &ear.wants.known {
                let its = |key: &&InstanceKey| self.serves(ear, *has_session, key) == Some(true);
                let own = running.iter().filter(its);
                let own: Vec<_> = own
                    .filter(|key| key.server().as_str() == SERVERS[*n])
                    .collect();
                // A resource of a server that had not listed it yet may belong to another one.
                let mut held = at.iter().filter(|(_, uri)| *uri == resource(*n));
                let is_held = held.any(|(key, _)| its(&key));
                assert!(
                    own.is_empty() || is_held,
                    "{own:?} has no subscription to {} for {}",
                    resource(*n),
                    USERS[ear.who]
                );
            }
        }
    }

    /// Returns `true` if an instance is the one that serves a receiver, as far as the model can tell.
    fn serves(&self, ear: &Receiver, has_session: bool, key: &InstanceKey) -> Option<bool> {
        let mut servers = SERVERS.iter();
        let server = servers.position(|name| *name == key.server().as_str())?;
        let is_in_scope = match key.scope() {
            Scope::Shared => true,
            Scope::Principal(only) => {
                only.as_str() == USERS[ear.who] && !(has_session && server == 2)
            }
            Scope::Session(_) if !has_session => false,
            Scope::Session(_) => return None,
        };
        let place = place(key);
        if !is_in_scope || !self.model.reach(ear.who, ear.gate).contains(&place) {
            return Some(false);
        }
        let choice = self.model.choice(ear.who, ear.gate, server);
        choice.map(|choice| choice == place)
    }

    /// Checks that the sender of a message was allowed to send it to this instance. `owners` are the sessions of the
    /// instances that belong to one.
    pub(crate) fn check(&self, got: &ReceivedMessage, owners: &mut HashMap<Scope, SessionId>) {
        let message = &got.message;
        let tag = [&message["params"]["_meta"], &message["result"]["_meta"]];
        let Some(tag) = tag.into_iter().find(|tag| !tag["step"].is_null()) else {
            return;
        };
        let step = usize::try_from(tag["step"].as_u64().unwrap()).unwrap();
        let act = self.acts[step]
            .clone()
            .unwrap_or_else(|| panic!("nobody acts: {message}"));
        let (who, gate) = (act.who, act.gate);
        assert_eq!(tag["who"], USERS[who]);
        if let (Scope::Session(_), Some(session)) = (got.key.scope(), &act.session) {
            let owner = owners.entry(got.key.scope().clone());
            let owner = owner.or_insert_with(|| session.clone());
            assert_eq!(
                owner, session,
                "{message} to the instance of another session"
            );
        }
        if let Some(revoked) = act.session.and_then(|id| self.revoked.get(&id)) {
            assert!(got.at < *revoked, "{message} by a revoked token");
        }
        let place = place(&got.key);
        // A waiting message may have been released while the change of its step was being applied.
        let before = if step < got.at { got.at - 1 } else { got.at };
        let moments = &self.past[before..=got.at];
        let server = SERVERS.iter().position(|name| *name == place.0).unwrap();
        let reaches = |model: &Model| {
            let choice = model.choice(who, gate, server);
            model.reach(who, gate).contains(&place) && choice.is_none_or(|choice| choice == place)
        };
        assert!(
            moments.iter().any(reaches),
            "{message} of {} reached {place:?} at step {}, not {:?}",
            USERS[who],
            got.at,
            self.past[got.at].reach(who, gate)
        );
        if let Scope::Principal(only) = got.key.scope() {
            assert_eq!(only.as_str(), USERS[who]);
        }
        let method = got.method();
        let is_request = method.is_empty() || !message["id"].is_null();
        let own = ["notifications/roots/list_changed", "notifications/progress"];
        assert!(is_request || own.contains(&method), "{message}");
        // A shared instance would take the roots of one caller for those of another.
        let is_shared = *got.key.scope() == Scope::Shared;
        assert!(!is_shared || method != own[0], "{message} to {}", got.key);
        let members = message["params"].as_object().into_iter().flatten();
        let mut names = members.filter(|(key, _)| key.eq_ignore_ascii_case("name"));
        if method == "tools/call" && names.any(|(_, name)| name == "hidden") {
            let hides = |model: &Model| model.hides(gate, &place.0);
            assert!(!moments.iter().all(hides), "{message}");
            assert!(message["params"]["name"] == "hidden", "{message}");
        }
    }
}
