//! The orchestrator's own objects in the cluster, which decide who acts under its name and what belongs to it.

pub(crate) mod bootstrap_secret;
pub(crate) mod lease;
pub(crate) mod membership;
pub(crate) mod owner;
pub(crate) mod purge;
pub(crate) mod state_key;
