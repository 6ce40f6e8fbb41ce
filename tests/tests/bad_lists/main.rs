//! Lists of servers that misbehave: what is right of them is shown, and nothing of them stops or stalls the gateway.

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
