//! URIs that results carried to principals; bounded.

use std::collections::{HashMap, VecDeque};

use crate::auth::Principal;
use crate::id::{PrincipalId, ServerId};

/// URIs that are remembered for one principal.
const PER_PRINCIPAL: usize = 1024;
/// Principals for whom some are remembered.
const PRINCIPALS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Carried {
    principals: HashMap<PrincipalId, Uris>,
    /// Oldest first.
    order: VecDeque<PrincipalId>,
}

#[derive(Debug, Default)]
struct Uris {
    servers: HashMap<String, ServerId>,
    order: VecDeque<String>,
}

impl Carried {
    pub(super) fn add(&mut self, server: &ServerId, principal: &Principal, uris: Vec<String>) {
        if !self.principals.contains_key(&principal.id) {
            self.order.push_back(principal.id.clone());
            if self.order.len() > PRINCIPALS
                && let Some(oldest) = self.order.pop_front()
            {
                self.principals.remove(&oldest);
            }
        }
        let known = self.principals.entry(principal.id.clone()).or_default();
        for uri in uris {
            if known.servers.insert(uri.clone(), server.clone()).is_none() {
                known.order.push_back(uri);
            }
        }
        while known.order.len() > PER_PRINCIPAL {
            if let Some(oldest) = known.order.pop_front() {
                known.servers.remove(&oldest);
            }
        }
    }

    pub(super) fn has(&self, server: &ServerId, principal: &Principal, uri: &str) -> bool {
        self.principals
            .get(&principal.id)
            .and_then(|uris| uris.servers.get(uri))
            == Some(server)
    }
}
