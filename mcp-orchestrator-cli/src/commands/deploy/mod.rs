//! Commands that run, deploy or remove a gateway.

pub(super) mod cluster;
pub(super) mod purge;
pub(super) mod quickstart;
pub(super) mod up;
