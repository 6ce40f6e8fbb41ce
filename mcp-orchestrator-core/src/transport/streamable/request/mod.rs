//! Requests to one endpoint: their headers and ids, and the connections that carry them.

pub(super) mod connections;
pub(super) mod exchange;
pub(super) mod headers;
pub(super) mod ids;
pub(super) mod origin;
pub(super) mod ready;
pub(super) mod redirect;
