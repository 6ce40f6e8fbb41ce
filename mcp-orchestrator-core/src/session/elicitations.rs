//! URLs that servers asked the client to open.
//!
//! A server reports by its own id that the user is done with one. Servers choose these ids, so a client must get a report
//! only from the server that asked.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::jsonrpc::{Kind, Members, Message, text};
use crate::limits::{MAX_ELICITATION_ID_LEN, MAX_ELICITATIONS};
use crate::protocol::{code, method};
use crate::runtime::InstanceKey;

/// The ids that one client was given, each with the instance that gave it; the newest is last.
#[derive(Debug, Default)]
pub(super) struct Elicitations {
    asked: Mutex<VecDeque<(InstanceKey, Box<str>)>>,
}

impl Elicitations {
    /// Remembers the ids in a request of an instance, or in an error that demands elicitations first.
    pub(super) fn note(&self, key: &InstanceKey, message: &Message) {
        let members = message.body().and_then(Members::read).unwrap_or_default();
        match message.kind() {
            Kind::Request if message.method() == method::ELICITATION => self.add(key, &members),
            Kind::Error if is_demand(&members) => {
                let data = members.get("data").and_then(Members::read);
                let listed = data.as_ref().and_then(|data| data.get("elicitations"));
                let listed = listed.map(serde_json::from_str::<Vec<Members<'_>>>);
                let Some(Ok(listed)) = listed else { return };
                for one in listed.iter().take(MAX_ELICITATIONS) {
                    self.add(key, one);
                }
            }
            _ => {}
        }
    }

    fn add(&self, key: &InstanceKey, elicitation: &Members<'_>) {
        let Some(id) = elicitation.get("elicitationId").and_then(text) else {
            return;
        };
        if id.len() > MAX_ELICITATION_ID_LEN {
            return;
        }
        let mut asked = self.asked.lock();
        if asked.iter().any(|(by, known)| by == key && **known == *id) {
            return;
        }
        if asked.len() >= MAX_ELICITATIONS {
            asked.pop_front();
        }
        asked.push_back((key.clone(), id.into()));
    }

    /// Returns `true` if this instance gave the client the id that its notification names.
    pub(super) fn is_of(&self, key: &InstanceKey, completion: &Message) -> bool {
        let params = completion.body().and_then(Members::read);
        let id = params
            .as_ref()
            .and_then(|params| params.get("elicitationId"));
        let Some(id) = id.and_then(text) else {
            return false;
        };
        let asked = self.asked.lock();
        asked.iter().any(|(by, known)| by == key && **known == *id)
    }
}

fn is_demand(error: &Members<'_>) -> bool {
    let found = error.get("code").and_then(|code| code.parse().ok());
    found == Some(code::URL_ELICITATION_REQUIRED)
}
