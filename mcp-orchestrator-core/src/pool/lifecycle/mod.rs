//! Starts, supervises, replaces and ends instances.

mod detect_transport;
pub(super) mod orphans;
pub(super) mod reattach;
pub(super) mod removals;
mod rotation;
pub(super) mod shutdown;
mod start;
mod supervise;
mod token_renewal;
