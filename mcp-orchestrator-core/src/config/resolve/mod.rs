//! From entries to settings: expands variables, checks values, applies defaults.

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod backends;
pub(crate) mod check;
pub(crate) mod gateways;
pub(crate) mod globals;
pub(crate) mod issuers;
pub(crate) mod outbound;
pub(crate) mod people;
pub(crate) mod scope;
pub(crate) mod server;
pub(crate) mod state_dir;
pub(crate) mod store;
mod tool_overrides;
