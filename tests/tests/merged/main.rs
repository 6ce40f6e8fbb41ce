//! Several servers behind one endpoint, which behave as one server does.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

mod announcements;
mod caching;
mod extensions;
mod interfaces;
mod override_views;
mod overrides;
mod owners;
mod servers;
mod skills;
