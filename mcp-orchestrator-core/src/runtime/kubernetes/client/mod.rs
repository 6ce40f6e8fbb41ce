//! Access to the cluster: its configuration, the HTTP client, errors, and the rights that are needed.

pub(crate) mod access;
pub(crate) mod access_review;
mod builder;
pub(crate) mod errors;
mod exec;
pub(crate) mod forbidden_retry;
mod infer;
mod renewal;
mod tls;
