//! Which servers have tools that require arguments in headers (`x-mcp-header`).

use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::HashMap;

use crate::id::ServerId;

/// An entry for each server whose lists were looked up. Read by each tool call.
#[derive(Debug, Default)]
pub(super) struct AnnotatingServers(ArcSwap<HashMap<ServerId, bool>>);

impl AnnotatingServers {
    /// Returns `None` for a server whose lists were not looked up.
    pub(super) fn get(&self, server: &ServerId) -> Option<bool> {
        self.0.load().get(server).copied()
    }

    pub(super) fn set(&self, server: &ServerId, annotates: bool) {
        if self.get(server) == Some(annotates) {
            return;
        }
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(server.clone(), annotates);
            Arc::new(known)
        });
    }
}
