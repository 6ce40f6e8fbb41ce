//! Counts the instances of each server by state, for the metrics.

use super::slot::Slot;
use super::{Pool, Server};
use crate::metrics::ServerState;

impl Pool {
    /// Returns the state of every configured server.
    pub(crate) fn server_states(&self) -> Vec<ServerState> {
        let servers = self.servers();
        let states = servers.values().map(|server| server.state());
        let mut states: Vec<_> = states.collect();
        states.sort_by(|one, other| one.server.cmp(&other.server));
        states
    }
}

impl Server {
    fn state(&self) -> ServerState {
        let mut state = ServerState {
            server: self.spec.load().server.id.to_string(),
            running: 0,
            starting: 0,
            unreachable: 0,
            failed: 0,
            calls: 0,
        };
        for slot in self.slots.all() {
            count(&slot, &mut state);
        }
        state
    }
}

fn count(slot: &Slot, state: &mut ServerState) {
    state.starting += usize::from(slot.is_starting());
    match slot.current() {
        Some(handle) => {
            state.calls += handle.in_use();
            match handle.reach.failure() {
                Some(_) => state.unreachable += 1,
                None => state.running += 1,
            }
        }
        None if slot.last_failure().is_some() && !slot.is_starting() => state.failed += 1,
        None => {}
    }
}
