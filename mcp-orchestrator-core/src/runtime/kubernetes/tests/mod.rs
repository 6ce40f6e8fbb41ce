//! Tests against an API server in this process.

mod fake_cluster;
pub(crate) mod watch_errors;
