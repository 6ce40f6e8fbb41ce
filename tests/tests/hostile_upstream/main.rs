//! Servers that break the rules, by malice or by bugs of deployed software: no caller gets another's response, nothing
//! hangs or spins, and quirks that the common client libraries tolerate are tolerated.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

mod bodies;
mod connections;
mod correlation;
mod detection;
mod floods;
mod late;
mod legacy_sse;
mod memory;
mod pipes;
mod raw;
mod redirects;
mod sessions;
mod streams;
mod subscriptions;
