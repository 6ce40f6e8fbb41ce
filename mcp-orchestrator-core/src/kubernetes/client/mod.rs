//! Access to the cluster: its configuration, the HTTP client, errors, and the rights that are needed.

pub(crate) mod access;
pub(crate) mod access_review;
mod builder;
pub(crate) mod errors;
mod exec;
pub(crate) mod forbidden_retry;
pub(crate) mod infer;
pub(crate) mod rejection;
mod renewal;
mod tls;
mod used_rights;
pub(crate) mod watch_backoff;
