//! What all requests have in common: origin, host, proxies, CORS, and the challenge to callers without a token.

pub(crate) mod connection;
pub(crate) mod cors;
pub(crate) mod forwarded;
pub(crate) mod head;
pub(crate) mod protected_resource;
pub(crate) mod readdress;
pub(crate) mod validate;
