//! Networks and addresses: ranges, special-use addresses, and the public address of the gateway.

pub(crate) mod network;
pub(crate) mod public_url;
pub(crate) mod special_use;
