//! Clients that misbehave: they send slowly, too much or never, keep what they have lost, and flood. Others are served on.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

mod access;
mod site;
