//! Checks that every message that reaches a server comes from a caller who may use it at that moment, and that messages
//! of servers reach only the callers they concern.

#![allow(
    clippy::unwrap_used,
    clippy::large_futures,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

mod access;
mod actions;
mod bounds;
mod checks;
mod leftovers;
mod mind;
mod model;
mod named;
mod notices;
mod questions;
mod rights;
mod session;
mod site;
mod spelling;
mod steps;
mod subscriptions;
mod tasks;
mod wait;
mod worlds;
