//! Steps of a random world.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::authority::model::{GATEWAYS, Gate, OWNERS, SERVERS, USERS};

/// The tools to call. The last one is sent with two spellings of its name.
pub(crate) const TOOLS: [&str; 5] = ["echo", "hidden", "task", "ask", "spelled"];

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Install {
        server: usize,
        owner: usize,
    },
    Remove {
        server: usize,
        owner: usize,
    },
    Teams([BTreeSet<usize>; 2]),
    Gateway(usize, Gate),
    Reload(BTreeSet<usize>),
    Open {
        who: usize,
        gate: usize,
    },
    Close(usize),
    Call {
        by: usize,
        server: usize,
        tool: usize,
    },
    Modern {
        who: usize,
        gate: usize,
        server: usize,
    },
    Notify {
        by: usize,
        kind: usize,
    },
    Subscribe {
        by: usize,
        server: usize,
        back: bool,
    },
    Listen {
        who: usize,
        gate: usize,
    },
    Leave(usize),
    Task {
        by: usize,
        task: usize,
        method: usize,
    },
    Answer(usize),
    /// Revokes the token of a user's sessions.
    Revoke(usize),
    /// Holds a server: its instances that start later do not answer until they are released.
    Hold(usize),
    LetGo,
    Say {
        instance: usize,
        kind: usize,
    },
    /// Waits until nothing happens any more, and compares the subscriptions at servers with what callers want.
    Quiet,
}

fn gate() -> impl Strategy<Value = Gate> {
    let few = |n: usize| prop::collection::btree_set(0..n, 0..=n);
    let shown = (prop::option::weighted(0.3, 0..OWNERS), any::<bool>());
    let servers = prop::collection::btree_map(0..SERVERS.len(), shown, 1..4);
    (few(3), few(2), servers).prop_map(|(users, teams, servers)| Gate {
        users,
        teams,
        servers,
    })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let (who, n, gates) = (0..USERS.len(), 0..8usize, 0..GATEWAYS.len());
    let servers = 0..SERVERS.len();
    let members = prop::collection::btree_set(0..USERS.len(), 0..3);
    prop_oneof![
        6 => (0..2usize, 0..OWNERS).prop_map(|(server, owner)| Step::Install { server, owner }),
        2 => (0..2usize, 0..OWNERS).prop_map(|(server, owner)| Step::Remove { server, owner }),
        3 => [members.clone(), members].prop_map(Step::Teams),
        4 => (gates.clone(), gate()).prop_map(|(n, gate)| Step::Gateway(n, gate)),
        1 => prop::collection::btree_set(servers.clone(), 1..4).prop_map(Step::Reload),
        6 => (who.clone(), gates.clone()).prop_map(|(who, gate)| Step::Open { who, gate }),
        1 => n.clone().prop_map(Step::Close),
        14 => (n.clone(), servers.clone(), 0..TOOLS.len()).prop_map(|(by, server, tool)| Step::Call { by, server, tool }),
        6 => (who.clone(), gates.clone(), servers.clone()).prop_map(|(who, gate, server)| Step::Modern { who, gate, server }),
        6 => (n.clone(), 0..8usize).prop_map(|(by, kind)| Step::Notify { by, kind }),
        4 => (n.clone(), servers, any::<bool>()).prop_map(|(by, server, back)| Step::Subscribe { by, server, back }),
        3 => (who, gates).prop_map(|(who, gate)| Step::Listen { who, gate }),
        1 => n.clone().prop_map(Step::Leave),
        9 => (n.clone(), n.clone(), 0..4usize).prop_map(|(by, task, method)| Step::Task { by, task, method }),
        4 => n.clone().prop_map(Step::Answer),
        1 => (0..USERS.len()).prop_map(Step::Revoke),
        4 => (0..SERVERS.len()).prop_map(Step::Hold),
        3 => Just(Step::LetGo),
        6 => (n, 0..3usize).prop_map(|(instance, kind)| Step::Say { instance, kind }),
        3 => Just(Step::Quiet),
    ]
}
