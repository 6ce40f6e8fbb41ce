//! The lifecycle of an instance: starting, stopping, repairing and deleting its objects.

pub(crate) mod apply;
mod describe;
pub(crate) mod events;
pub(crate) mod gc;
mod orphans;
mod start;
mod stop;
mod supervise;
pub(crate) mod tracked;
