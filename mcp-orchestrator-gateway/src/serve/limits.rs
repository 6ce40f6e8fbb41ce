//! Deadlines and bounds of a listener's connections.

use std::time::Duration;

use crate::limits;

/// Deadlines and bounds of the connections of one listener.
///
/// No client is known before its first request is authenticated, so every stage until then has a deadline. At a bound the
/// connection is closed that has waited longest without a request; only where all are in use a new one is refused, with 503.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// From the connection to the head of its first request, the choice of the HTTP version included; over HTTP/1 also
    /// from one request to the head of the next.
    pub head_timeout: Duration,
    /// For a TLS handshake.
    pub handshake_timeout: Duration,
    /// How long an HTTP/2 connection may have no request.
    pub idle_timeout: Duration,
    /// For a request body, besides the time that [`min_body_rate`](Self::min_body_rate) gives it for what has arrived.
    pub body_timeout: Duration,
    /// Bytes per second that a body must bring on average, once `body_timeout` is over.
    pub min_body_rate: usize,
    /// How long a client may take nothing of what is sent to it.
    pub write_timeout: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one IPv4 address or one IPv6 /64 network. Loopback addresses and trusted proxies are exempt:
    /// many clients share them.
    pub connections_per_address: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            head_timeout: limits::HEAD_TIMEOUT,
            handshake_timeout: limits::TLS_HANDSHAKE_TIMEOUT,
            idle_timeout: limits::IDLE_TIMEOUT,
            body_timeout: limits::BODY_TIMEOUT,
            min_body_rate: limits::MIN_BODY_RATE,
            write_timeout: limits::WRITE_TIMEOUT,
            connections: limits::MAX_CONNECTIONS,
            connections_per_address: limits::MAX_CONNECTIONS_PER_ADDRESS,
        }
    }
}
