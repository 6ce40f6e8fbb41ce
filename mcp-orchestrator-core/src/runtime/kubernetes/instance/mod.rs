//! The lifecycle of an instance: starting, stopping, repairing and deleting its objects.

mod accepting;
pub(crate) mod apply;
mod dependents;
mod describe;
pub(crate) mod event_queue;
mod events;
pub(crate) mod gc;
mod label_repair;
mod owner_change;
mod start;
mod stop;
mod supervise;
pub(crate) mod tracked;
