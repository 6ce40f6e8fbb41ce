//! Responses: JSON, event streams, refusals, and the requests of a server that they contain.

pub(super) mod events;
pub(super) mod refusal;
pub(super) mod reply;
pub(super) mod server_requests;
