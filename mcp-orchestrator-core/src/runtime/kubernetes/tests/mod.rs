//! Tests against an API server in this process.

pub(crate) mod api_server;
mod fake_cluster;
mod watch_errors;
