//! Fixed limits of the listener and its pages; see [`mod@mcp_orchestrator_core::limits`].

use std::time::Duration;

mcp_orchestrator_core::limits! {
    // Connections.
    /// From a connection to the head of its first request; over HTTP/1 also from one request to the next.
    HEAD_TIMEOUT: Time = Duration::from_secs(30);
    /// For a TLS handshake.
    TLS_HANDSHAKE_TIMEOUT: Time = Duration::from_secs(10);
    /// How long an HTTP/2 connection may have no request.
    IDLE_TIMEOUT: Time = Duration::from_mins(2);
    /// For a request body, besides what [`MIN_BODY_RATE`] gives it.
    BODY_TIMEOUT: Time = Duration::from_secs(30);
    /// Bytes per second that a request body brings on average.
    MIN_BODY_RATE: Bytes = 16 << 10;
    /// How long a client may take nothing of what is sent to it.
    WRITE_TIMEOUT: Time = Duration::from_secs(60);
    /// Connections at once, of one listener.
    MAX_CONNECTIONS: Count = 16_384;
    /// Connections at once from one IPv4 address or IPv6 /64 network.
    MAX_CONNECTIONS_PER_ADDRESS: Count = 1024;
    /// The head of a request.
    MAX_HEAD_LEN: Bytes = 64 << 10;
    /// The headers of a request over HTTP/1.
    MAX_HEADERS: Count = 100;
    /// Requests at once on one HTTP/2 connection.
    MAX_HTTP2_STREAMS: Count = 128;
    /// Requests that an HTTP/2 client resets before they are taken up.
    MAX_HTTP2_PENDING_RESETS: Count = 20;
    /// Requests of an HTTP/2 connection that are reset for its client's errors.
    MAX_HTTP2_LOCAL_RESETS: Count = 256;
    /// Requests in excess of those answered that a client may give up on one connection.
    MAX_RESET_REQUESTS: Count = 500;
    /// What is kept of one response that an HTTP/2 client does not take.
    MAX_HTTP2_SEND_BUFFER: Bytes = 64 << 10;
    /// How often a silent HTTP/2 client is asked whether it is there.
    HTTP2_PING_INTERVAL: Time = Duration::from_secs(30);
    /// For its answer.
    HTTP2_PING_TIMEOUT: Time = Duration::from_secs(20);
    /// Between two log lines about the same trouble of a listener.
    REPEATED_LOG_INTERVAL: Time = Duration::from_secs(10);

    // Requests and pages.
    /// A request body up to this size takes nothing of the memory for bodies.
    UNCOUNTED_BODY_LEN: Bytes = 64 << 10;
    /// Of the request bodies of one principal that are read or carried out at once.
    MAX_BODY_MEMORY_PER_PRINCIPAL: Bytes = 64 << 20;
    /// Of those of all principals.
    MAX_BODY_MEMORY: Bytes = 256 << 20;
    /// Streams of HTTP+SSE clients.
    MAX_SSE_STREAMS: Count = 4096;
    /// Streams of HTTP+SSE clients that one principal has open.
    MAX_SSE_STREAMS_PER_PRINCIPAL: Count = 64;
    /// Calls of one HTTP+SSE stream that run at once.
    MAX_SSE_CALLS: Count = 128;
    /// Calls of one HTTP+SSE stream that wait besides.
    MAX_SSE_QUEUE: Count = 32;
    /// A form of a page.
    MAX_FORM_LEN: Bytes = 64 << 10;
    /// Sign-ins that one address or one principal may begin at once.
    SIGN_IN_BURST: Count = 10;
    /// After which it may begin one more.
    SIGN_IN_INTERVAL: Time = Duration::from_secs(6);
    /// Addresses or principals whose rate is remembered.
    MAX_RATED_KEYS: Count = 10_000;
    /// Messages of one JSON-RPC batch.
    MAX_BATCH_LEN: Count = 64;
    /// A token by which somebody signs in at a page; a browser keeps no longer one.
    MAX_PAGE_TOKEN_LEN: Bytes = 2500;
}

#[cfg(test)]
mod tests {
    use mcp_orchestrator_core::limits;

    #[test]
    fn documentation_lists_exactly_the_existing_limits() {
        let page = include_str!("../../docs/limits.md");
        let known = || super::ALL.iter().chain(limits::ALL);
        for limit in super::ALL {
            let row = format!("| `{}` | {} |", limit.name, limit.value);
            assert!(page.contains(&row), "docs/limits.md lacks the row {row}");
        }
        let constants = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .filter(|name| {
                name.chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            });
        for name in constants {
            assert!(
                known().any(|limit| limit.name == name),
                "docs/limits.md lists {name}, which no limit is called"
            );
        }
    }
}
