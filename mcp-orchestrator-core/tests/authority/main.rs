//! Whether every message that reaches a server comes from somebody who may use it at that moment, and whether what servers
//! say reaches only those whom it concerns.

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
mod mind;
mod model;
mod notices;
mod rights;
mod session;
mod site;
mod spelling;
mod steps;
mod tasks;
mod wait;
mod worlds;
