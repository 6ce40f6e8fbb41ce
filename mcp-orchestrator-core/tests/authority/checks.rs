//! What must hold in a random world.

use mcp_orchestrator_core::runtime::Scope;

use crate::mind::Got;
use crate::model::{Reach, USERS};
use crate::session::drain_open;
use crate::worlds::World;

impl World<'_> {
    /// What has come by now is of instances that its hearer may use, and of the hearer's own tasks.
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
                // What an instance still says while it ends was its hearer's before.
                let was = past
                    .iter()
                    .any(|model| !model.reach(ear.who, ear.gate).is_empty());
                assert!(may && was, "{} hears {message}", USERS[ear.who]);
                let scope = &told["scope"];
                assert!(scope.is_null() || *scope == USERS[ear.who], "{message}");
                let of = &message["params"]["for"];
                assert!(of.is_null() || *of == USERS[ear.who], "{message}");
            }
        }
    }

    /// Every message that reached a server was its sender's to send.
    pub(crate) fn check(&self, got: &Got) {
        let message = &got.message;
        let tag = [&message["params"]["_meta"], &message["result"]["_meta"]];
        let Some(tag) = tag.into_iter().find(|tag| !tag["step"].is_null()) else {
            return;
        };
        let step = usize::try_from(tag["step"].as_u64().unwrap()).unwrap();
        let (who, gate) = self.acts[step].unwrap_or_else(|| panic!("nobody acts: {message}"));
        assert_eq!(tag["who"], USERS[who]);
        let model = &self.past[step];
        let place: Reach = (
            got.key.server().to_string(),
            got.key.owner().to_string(),
            got.key.revision().to_string(),
        );
        let reach = model.reach(who, gate);
        assert!(
            reach.contains(&place),
            "{message} of {} reached {place:?}, not {reach:?}",
            USERS[who]
        );
        if let Scope::Principal(only) = got.key.scope() {
            assert_eq!(only.as_str(), USERS[who]);
        }
        let method = got.method();
        let is_request = method.is_empty() || !message["id"].is_null();
        let own = ["notifications/roots/list_changed", "notifications/progress"];
        assert!(is_request || own.contains(&method), "{message}");
        if method == "tools/call" && message["params"]["name"] == "hidden" {
            assert!(!model.hides(gate, &place.0), "{message}");
        }
    }
}
