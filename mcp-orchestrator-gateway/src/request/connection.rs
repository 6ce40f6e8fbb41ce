//! What the server records about a connection in the extensions of its requests, and the error of a slow request body.

use std::fmt;
use std::net::IpAddr;

/// Request extension that marks requests received over TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverTls;

/// Request extension with the address of the peer.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "pages"),
    expect(dead_code, reason = "only pages read it")
)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// A request body arrived too slowly.
#[derive(Debug)]
pub(crate) struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request body came too slowly")
    }
}

impl std::error::Error for TooSlow {}

/// Returns `true` if a body could not be read because it arrived too slowly.
pub(crate) fn is_too_slow(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<TooSlow>() {
            return true;
        }
        next = error.source();
    }
    false
}
