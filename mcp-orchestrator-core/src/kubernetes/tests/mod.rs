//! An API server in this process, for tests.

pub(crate) mod api_server;
