//! The operator API, on which the control endpoint and the command line are built.

mod call;
mod connections;
pub(super) mod current_metrics;
mod describe;
pub(super) mod explain;
pub(super) mod instances;
mod probe;
pub(super) mod server_info;
pub(super) mod unannounced;
pub(super) mod unlisted;
