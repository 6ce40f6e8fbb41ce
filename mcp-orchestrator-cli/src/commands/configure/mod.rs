//! Commands that change, check or explain the configuration.

pub(super) mod add;
pub(super) mod check;
pub(super) mod config;
pub(super) mod explain;
pub(super) mod import;
pub(super) mod remove;
pub(super) mod schema;
