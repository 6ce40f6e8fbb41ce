//! Lists of misbehaving servers: valid parts are shown, and invalid parts neither break nor stall the gateway.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

mod hello;
mod items;
mod pages;
mod partial;
mod storms;
mod templates;
