//! Requests of servers that cross the eras.
//!
//! A legacy server sends a request during a call and waits for the response. A modern server ends the call with the
//! result `input_required`, and is called again with the answers. The other era's client gets what it understands:
//! [`modern_client`] parks a legacy server's call, and [`legacy_client`] sends a modern server's requests to the client
//! and repeats the call.

pub(super) mod client_requests;
mod crossing;
pub(super) mod legacy_client;
pub(super) mod modern_client;
pub(super) mod request_state;
pub(super) mod requests;
mod url_elicitation;
