//! Fixed limits of the listener and its pages; see [`mod@mcp_orchestrator_core::limits`].

use std::time::Duration;

mcp_orchestrator_core::limits! {
    // Connections.
    /// From a connection to the head of its first request; over HTTP/1 also from one request to the next.
    HEAD_TIMEOUT: Time = Duration::from_secs(30);
    /// How long a TLS handshake may take.
    TLS_HANDSHAKE_TIMEOUT: Time = Duration::from_secs(10);
    /// How long a TLS handshake waits for a renewed certificate to be read.
    CERTIFICATE_RELOAD_TIMEOUT: Time = Duration::from_secs(1);
    /// How long an HTTP/2 connection may be without a request.
    IDLE_TIMEOUT: Time = Duration::from_mins(2);
    /// How long a request body may take, in addition to the time that [`MIN_BODY_RATE`] grants.
    BODY_TIMEOUT: Time = Duration::from_secs(30);
    /// Bytes per second that a request body must average.
    MIN_BODY_RATE: Bytes = 16 << 10;
    /// How long a client may read nothing of what is sent to it.
    WRITE_TIMEOUT: Time = Duration::from_secs(60);
    /// Concurrent connections of one listener.
    MAX_CONNECTIONS: Count = 16_384;
    /// Concurrent connections from one IPv4 address or IPv6 /64 network.
    MAX_CONNECTIONS_PER_ADDRESS: Count = 1024;
    /// The head of a request.
    MAX_HEAD_LEN: Bytes = 64 << 10;
    /// The headers of a request over HTTP/1.
    MAX_HEADERS: Count = 100;
    /// Length of a request's id that is part of the event ids of its stream.
    MAX_EVENT_REQUEST_ID_LEN: Bytes = 96;
    /// Concurrent requests on one HTTP/2 connection.
    MAX_HTTP2_STREAMS: Count = 128;
    /// Requests that an HTTP/2 client resets before they are accepted.
    MAX_HTTP2_PENDING_RESETS: Count = 20;
    /// Requests of an HTTP/2 connection that are reset because of its client's errors.
    MAX_HTTP2_LOCAL_RESETS: Count = 256;
    /// Requests that a client may reset on one connection, in excess of those answered.
    MAX_RESET_REQUESTS: Count = 500;
    /// Buffered bytes of one response that an HTTP/2 client does not read.
    MAX_HTTP2_SEND_BUFFER: Bytes = 64 << 10;
    /// How often a silent HTTP/2 client is pinged.
    HTTP2_PING_INTERVAL: Time = Duration::from_secs(30);
    /// How long a client may take to answer a ping.
    HTTP2_PING_TIMEOUT: Time = Duration::from_secs(20);
    /// The interval between two log lines about the same problem of a listener.
    REPEATED_LOG_INTERVAL: Time = Duration::from_secs(10);

    // Requests and pages.
    /// Request and response bodies up to this size do not count towards the memory for bodies.
    UNCOUNTED_BODY_LEN: Bytes = 64 << 10;
    /// Memory for the request bodies of one principal, until their servers have received them.
    MAX_BODY_MEMORY_PER_PRINCIPAL: Bytes = 64 << 20;
    /// Memory for the request bodies of all principals.
    MAX_BODY_MEMORY: Bytes = 256 << 20;
    /// Memory for the responses of one principal that it has not read.
    MAX_RESPONSE_MEMORY_PER_PRINCIPAL: Bytes = 128 << 20;
    /// Memory for the responses that all principals have not read.
    MAX_RESPONSE_MEMORY: Bytes = 512 << 20;
    /// Concurrent streams of HTTP+SSE clients.
    MAX_SSE_STREAMS: Count = 4096;
    /// Concurrent HTTP+SSE streams of one principal.
    MAX_SSE_STREAMS_PER_PRINCIPAL: Count = 64;
    /// Concurrent calls of one HTTP+SSE stream.
    MAX_SSE_CALLS: Count = 128;
    /// Calls of one HTTP+SSE stream that wait in addition.
    MAX_SSE_QUEUE: Count = 32;
    /// The size of a page's form.
    MAX_FORM_LEN: Bytes = 64 << 10;
    /// Sign-ins that one address or one principal may begin in a burst.
    SIGN_IN_BURST: Count = 10;
    /// The interval after which one more sign-in may begin.
    SIGN_IN_INTERVAL: Time = Duration::from_secs(6);
    /// Addresses or principals with a tracked rate.
    MAX_RATED_KEYS: Count = 10_000;
    /// Messages of one JSON-RPC batch.
    MAX_BATCH_LEN: Count = 64;
    /// Entries in a page of the registry.
    MAX_REGISTRY_PAGE: Count = 100;
    /// The size of a token for signing in at a page. Browsers do not store a larger cookie.
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
