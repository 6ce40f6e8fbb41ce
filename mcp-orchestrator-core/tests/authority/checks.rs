//! Invariants of a random world.

use mcp_orchestrator_core::runtime::Scope;

use crate::mind::Got;
use crate::model::{Model, Reach, USERS};
use crate::session::drain_open;
use crate::worlds::World;

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

    /// Checks that the sender of a message was allowed to send it to this instance.
    pub(crate) fn check(&self, got: &Got) {
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
        if let Some(revoked) = act.session.and_then(|id| self.revoked.get(&id)) {
            assert!(got.at < *revoked, "{message} by a revoked token");
        }
        let place: Reach = (
            got.key.server().to_string(),
            got.key.owner().to_string(),
            got.key.revision().to_string(),
        );
        // A waiting message may have been released while the change of its step was being applied.
        let before = if step < got.at { got.at - 1 } else { got.at };
        let moments = &self.past[before..=got.at];
        let reaches = |model: &Model| model.reach(who, gate).contains(&place);
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
        let members = message["params"].as_object().into_iter().flatten();
        let mut names = members.filter(|(key, _)| key.eq_ignore_ascii_case("name"));
        if method == "tools/call" && names.any(|(_, name)| name == "hidden") {
            let hides = |model: &Model| model.hides(gate, &place.0);
            assert!(!moments.iter().all(hides), "{message}");
            assert!(message["params"]["name"] == "hidden", "{message}");
        }
    }
}
