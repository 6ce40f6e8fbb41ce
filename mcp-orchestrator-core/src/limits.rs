//! Fixed limits on the memory, work and waiting time that a caller, a server or a cluster can cause in this process.
//!
//! A limit that an operator may need to change is a configuration key instead; its default is defined here.
//! `docs/limits.md` lists every limit and the error that exceeding it causes. A test compares the list with [`ALL`].

mod value;

use std::time::Duration;

pub use self::value::{Limit, Value};

/// The default of `limits.calls_per_principal`.
pub const CALLS_PER_PRINCIPAL: usize = 256;

crate::limits! {
    // Routing and lists.
    /// Length of a resource URI, from a server or a caller.
    MAX_URI_LEN: Bytes = 8 * 1024;
    /// Length of the name of a tool or prompt, from a server or a caller.
    MAX_NAME_LEN: Bytes = 512;
    /// Length of the name that a gateway gives a tool; the protocol's limit.
    MAX_TOOL_NAME_LEN: Count = 128;
    /// Size of a title or description that a gateway gives a tool.
    MAX_OVERRIDE_TEXT_BYTES: Bytes = 64 * 1024;
    /// Size of the arguments that a gateway sets on calls of a tool.
    MAX_FIXED_ARGUMENTS_BYTES: Bytes = 64 * 1024;
    /// Size of an item of a list.
    MAX_ITEM_BYTES: Bytes = 1024 * 1024;
    /// Nesting depth of an item of a list.
    MAX_ITEM_DEPTH: Count = 100;
    /// Items of one list of a server.
    MAX_LIST_ITEMS: Count = 10_000;
    /// Bytes of one list of a server.
    MAX_LIST_BYTES: Bytes = 16 * 1024 * 1024;
    /// Bytes of all lists of a server that are cached in memory, for all credential owners.
    MAX_SERVER_LIST_BYTES: Bytes = 128 * 1024 * 1024;
    /// Credential owners with lists of one server that are stored across restarts.
    MAX_STORED_LISTS_PER_SERVER: Count = 10_000;
    /// Pages of one list of a server.
    MAX_LIST_PAGES: Count = 1000;
    /// Consecutive pages that add nothing to a list.
    MAX_IDLE_PAGES: Count = 10;
    /// Length of a server's cursor.
    MAX_CURSOR_LEN: Bytes = 16 * 1024;
    /// Time to fetch all pages of one list.
    MAX_LIST_TIME: Time = Duration::from_mins(5);
    /// Initial pause between two fetches of a list that the server reports as changed.
    MIN_LIST_PAUSE: Time = Duration::from_millis(100);
    /// Maximum of this pause, which doubles while the list stays the same.
    MAX_LIST_PAUSE: Time = Duration::from_secs(60);
    /// Size of a server's description of itself: its capabilities and instructions.
    MAX_HELLO_BYTES: Bytes = 1024 * 1024;
    /// Length of a server's instructions as passed to clients.
    MAX_INSTRUCTIONS_LEN: Bytes = 64 * 1024;
    /// Time that the first `initialize` waits for a server without cached lists.
    MAX_HELLO_WAIT: Time = Duration::from_secs(3);
    /// Servers without cached lists that an `initialize` has waited for, for all owners.
    MAX_AWAITED_SERVERS: Count = 4096;
    /// Names and URIs listed by several servers, per gateway and principal.
    MAX_CONFLICTS: Count = 1000;
    /// Length of a URI template.
    MAX_TEMPLATE_LEN: Bytes = 2 * 1024;
    /// Expressions in a URI template.
    MAX_TEMPLATE_EXPRESSIONS: Count = 16;
    /// Comparisons to match one URI against a server's templates.
    MAX_TEMPLATE_STEPS: Count = 20_000;
    /// URIs in a server's results that are remembered per principal.
    MAX_CARRIED_URIS: Count = 1024;
    /// Bytes of these URIs.
    MAX_CARRIED_BYTES: Bytes = 64 * 1024;
    /// Bytes of the URIs in results that are remembered for all servers and principals.
    MAX_CARRIED_TOTAL: Bytes = 32 * 1024 * 1024;
    /// URIs of one result that are remembered.
    MAX_CARRIED_PER_RESULT: Count = 256;
    /// Pages of servers' skills in one page that is returned to a caller.
    MAX_SKILL_PAGES: Count = 64;
    /// Items in one page of a list that is returned to a caller.
    MAX_PAGE_ITEMS: Count = 1000;
    /// Bytes of one page of a list that is returned to a caller; a single item may be larger.
    MAX_PAGE_BYTES: Bytes = 4 << 20;
    /// Items of a list that is written on a worker thread; a longer one goes to a blocking thread.
    MAX_INLINE_LIST_ITEMS: Count = 2000;
    /// Bytes of a page of a server's list that is read on a worker thread; a larger one goes to a blocking thread.
    MAX_INLINE_PAGE_BYTES: Bytes = 256 * 1024;
    /// Instances that are started concurrently for a list request.
    MAX_LIST_STARTS: Count = 4;
    /// Name conflicts that are remembered, so that each is logged once, for all principals.
    MAX_LOGGED_CONFLICTS: Count = 1024;

    // Sessions, streams, subscriptions and tasks.
    /// Size of a legacy client's `clientInfo`, kept with its session.
    MAX_CLIENT_INFO_LEN: Bytes = 4 * 1024;
    /// Size of a legacy client's `capabilities`, kept with its session.
    MAX_CAPABILITIES_LEN: Bytes = 16 * 1024;
    /// Length of a session id.
    MAX_SESSION_ID_LEN: Bytes = 1024;
    /// Size of the client's info and capabilities that a session id contains.
    MAX_SEALED_FACTS_LEN: Bytes = 640;
    /// Age of a session id that another process than the one that opened the session still accepts.
    MAX_SESSION_ID_AGE: Time = Duration::from_hours(7 * 24);
    /// Continued sessions that ended, and whose ids are refused.
    MAX_ENDED_SESSIONS: Count = 100_000;
    /// Events kept for one stream of a session.
    MAX_EVENTS_PER_STREAM: Count = 256;
    /// Bytes of events kept for one stream of a session, in addition to its newest event.
    MAX_EVENT_BYTES_PER_STREAM: Bytes = 4 << 20;
    /// Bytes of events kept by one session for streams without a reader.
    MAX_EVENT_BYTES_PER_SESSION: Bytes = 16 << 20;
    /// Bytes of events kept by all sessions for streams without a reader.
    MAX_EVENT_BYTES: Bytes = 256 << 20;
    /// Ended streams of a session that can be resumed.
    MAX_ENDED_STREAMS: Count = 16;
    /// Instances with logs, restarts and last errors that are remembered after their end.
    MAX_SEEN_INSTANCES: Count = 512;
    /// Principals of modern clients with remembered connections to servers.
    MAX_MODERN_CALLERS: Count = 100_000;
    /// Requests of servers that wait for the client of one session; further ones are refused.
    MAX_ASKED_PER_SESSION: Count = 256;
    /// Tasks that the client of one session made for servers, and that those servers can ask about.
    MAX_CLIENT_TASKS: Count = 256;
    /// Length of the id of such a task.
    MAX_CLIENT_TASK_ID_LEN: Bytes = 1024;
    /// URLs that servers asked the client of one session to open, and whose completion they can report.
    MAX_ELICITATIONS: Count = 64;
    /// Length of the id of such a URL.
    MAX_ELICITATION_ID_LEN: Bytes = 1024;
    /// Open `subscriptions/listen` streams per principal.
    MAX_LISTENS_PER_PRINCIPAL: Count = 64;
    /// Length of the id of a `subscriptions/listen`, which every notification of its stream repeats.
    MAX_LISTEN_ID_LEN: Bytes = 1024;
    /// Resource subscriptions per principal, in all its sessions and streams together.
    MAX_SUBSCRIPTIONS_PER_PRINCIPAL: Count = 1024;
    /// Length of a resource URI that a caller subscribes to.
    MAX_SUBSCRIBED_URI_LEN: Bytes = 8 * 1024;
    /// Resource subscriptions of all principals together.
    MAX_SUBSCRIPTIONS: Count = 65_536;
    /// Requests to subscribe or unsubscribe that wait for the response of one instance; further ones wait.
    MAX_SUBSCRIBING: Count = 512;
    /// Size of a rejection of a subscription that is kept for later subscribers.
    MAX_KEPT_REJECTION: Bytes = 4 << 10;
    /// Pause before a subscription is repeated that an instance did not answer.
    RESUBSCRIBE_INTERVAL: Time = Duration::from_secs(5);
    /// Tasks that are remembered per principal.
    MAX_TASKS_PER_PRINCIPAL: Count = 1000;
    /// Tasks that are remembered, of all principals together.
    MAX_TASKS: Count = 10_000;
    /// Pages of one server's `tasks/list`.
    MAX_TASK_PAGES: Count = 100;
    /// Calls that wait for a credential or for a client's answer, of all principals together.
    MAX_PARKED_CALLS: Count = 4000;
    /// As [`MAX_PARKED_CALLS`], for one principal.
    MAX_PARKED_CALLS_PER_PRINCIPAL: Count = 32;
    /// Time that a call waits for its credential by default.
    CREDENTIAL_WAIT: Time = Duration::from_secs(45);
    /// Interval at which open sessions and streams are checked for lost rights, in addition to the check after each
    /// change.
    RIGHTS_CHECK_INTERVAL: Time = Duration::from_secs(15);
    /// Pause between two such checks, so that many simultaneous changes cause one check.
    RIGHTS_CHECK_PAUSE: Time = Duration::from_millis(50);
    /// Evaluations of a message before it is rejected because its rights keep changing.
    MAX_RIGHTS_CHECKS: Count = 4;
    /// Sessions with a last request that is authenticated again concurrently, after a change of access.
    MAX_ACCESS_CHECKS: Count = 32;
    /// Timeout of this check for one session. Without a result, the check is repeated.
    ACCESS_CHECK_TIMEOUT: Time = Duration::from_secs(5);
    /// Open links of all principals.
    MAX_LINKS: Count = 10_000;
    /// Time during which a link can be opened.
    LINK_LIFETIME: Time = Duration::from_mins(10);
    /// Audit events that wait to be written to disk.
    MAX_WAITING_AUDIT_LINES: Count = 8192;
    /// How long a closed audit log waits until its last events are written.
    AUDIT_CLOSE_TIMEOUT: Time = Duration::from_secs(5);
    /// Notifications that wait for a slow listener.
    MAX_WAITING_NOTIFICATIONS: Count = 64;
    /// Length of the name or version of a client with an oversized `clientInfo`.
    MAX_CLIENT_NAME_LEN: Bytes = 256;
    /// Length of a name or an address in an audit event.
    MAX_AUDITED_NAME_LEN: Bytes = 1024;
    /// Length of a slot's value: what an environment variable can hold on every system.
    MAX_SLOT_VALUE_LEN: Bytes = 100_000;

    // Connections to servers.

    /// Messages that are read from one batch.
    MAX_BATCH_ITEMS: Count = 256;
    /// Size of the head of an HTTP response.
    MAX_RESPONSE_HEAD: Bytes = 64 << 10;
    /// Number of header fields of an HTTP response.
    MAX_RESPONSE_FIELDS: Count = 100;
    /// Interim (1xx) responses before the final one.
    MAX_INTERIM_RESPONSES: Count = 8;
    /// Length of the line with a chunk's size.
    MAX_CHUNK_LINE: Bytes = 4 << 10;
    /// Size of the trailer fields after a chunked body.
    MAX_TRAILERS: Bytes = 16 << 10;
    /// Consecutive redirects that a request follows.
    MAX_REDIRECTS: Count = 5;
    /// Bytes of an error response's body that are read for the error message.
    MAX_REFUSAL_BODY: Bytes = 16 << 10;
    /// Time to read this part of the body.
    REFUSAL_TIMEOUT: Time = Duration::from_secs(2);
    /// Length of a server's text that is quoted in an error message.
    MAX_QUOTED_TEXT: Bytes = 300;
    /// Size of the optional fields of a gzip header.
    MAX_GZIP_HEADER: Bytes = 4 << 10;
    /// Length of a session id from a server.
    MAX_UPSTREAM_SESSION_ID: Bytes = 4 << 10;
    /// Idle time after which a modern caller's session with a legacy HTTP server ends.
    UPSTREAM_SESSION_IDLE_TIMEOUT: Time = Duration::from_mins(5);
    /// Length of the id of an event from a server.
    MAX_EVENT_ID: Bytes = 4 << 10;
    /// Bytes that an event stream may send between two messages, such as comments.
    MAX_EVENT_FILLER: Bytes = 1 << 20;
    /// Input of a server that is processed before other tasks get a turn.
    WORK_QUANTUM: Bytes = 16 << 10;
    /// Pause of a stream after each quantum of input without a message: 16 MiB of it per second are read at most.
    FILLER_PAUSE: Time = Duration::from_millis(1);
    /// Pending requests of a server on one connection.
    MAX_SERVER_REQUESTS: Count = 64;
    /// Time that a client's subscription waits for a modern server to acknowledge it.
    SUBSCRIBED_TIMEOUT: Time = Duration::from_secs(3);
    /// Time that a call waits for its client's answers to the server's requests by default.
    INPUT_WAIT: Time = Duration::from_mins(5);
    /// Requests of a server in one `input_required` result.
    MAX_INPUT_REQUESTS: Count = 32;
    /// How often the server may require input during one call.
    MAX_INPUT_ROUNDS: Count = 16;
    /// Sessions with an instance whose announcements of changed lists are counted.
    MAX_ANNOUNCING_SESSIONS: Count = 1024;
    /// Messages outside of calls per second and connection.
    MAX_UNSOLICITED_RATE: Count = 500;
    /// Messages outside of calls that one connection has delivered and that are not handled yet.
    MAX_WAITING_UNSOLICITED: Count = 256;
    /// Notifications per second for one call of an HTTP server.
    MAX_CALL_RATE: Count = 5000;
    /// Minimum delay before a stream is reopened, even if the server asks for less.
    RECONNECT_MIN: Time = Duration::from_millis(500);
    /// Maximum delay before a stream is reopened.
    RECONNECT_MAX: Time = Duration::from_secs(30);
    /// Consecutive resumptions of a call's stream without a message.
    MAX_RESUMES: Count = 20;
    /// Consecutive resumptions of a call's stream without any data.
    MAX_EMPTY_RESUMES: Count = 5;
    /// Maximum `Retry-After` that is accepted from a server.
    MAX_RETRY_AFTER: Time = Duration::from_mins(5);
    /// Interval between two probes of whether a rejection means a lost session.
    SESSION_PROBE_INTERVAL: Time = Duration::from_secs(10);
    /// Idle connections per endpoint.
    MAX_IDLE_CONNECTIONS: Count = 256;
    /// Time for which an idle connection is kept; shorter than the usual keep-alive timeout of servers.
    CONNECTION_IDLE_TIMEOUT: Time = Duration::from_secs(50);
    /// Time for the TLS handshake with a server or an issuer.
    OUTBOUND_TLS_TIMEOUT: Time = Duration::from_secs(15);
    /// Time to connect to a server or an issuer, over all its addresses.
    OUTBOUND_CONNECT_TIMEOUT: Time = Duration::from_secs(15);
    /// Connection checks of remote servers that run at the same time.
    MAX_CONNECTION_CHECKS: Count = 16;
    /// Cancellations and answers in transit to one endpoint. As many more may wait.
    MAX_CHORES: Count = 1024;
    /// Timeout of a cancellation.
    CHORE_TIMEOUT: Time = Duration::from_secs(10);
    /// Length of a server's message that does not count towards [`MAX_MESSAGE_MEMORY`].
    UNCOUNTED_MESSAGE_LEN: Bytes = 16 * 1024;
    /// Memory for the large messages of one instance that are being received or were not delivered yet.
    MAX_MESSAGE_MEMORY: Bytes = 512 << 20;
    /// Memory for the messages of all servers that are being received or were not delivered yet.
    MAX_TOTAL_MESSAGE_MEMORY: Bytes = 2 << 30;
    /// Memory that an instance's messages may take in excess of [`MAX_TOTAL_MESSAGE_MEMORY`].
    GUARANTEED_MESSAGE_MEMORY: Bytes = 1 << 20;
    /// Messages of one call that wait for a slow client. Programs only; HTTP servers get backpressure.
    MAX_CALL_BACKLOG: Count = 64;
    /// Messages that wait for a program that does not read.
    MAX_QUEUED_LINES: Count = 256;
    /// Messages to an HTTP+SSE server that failed and whose callers are not informed yet.
    MAX_QUEUED_FAILURES: Count = 64;
    /// Time for which the output of a program is read after its exit.
    OUTPUT_DRAIN_TIMEOUT: Time = Duration::from_secs(1);
    /// Bytes of a decoded response that are read to detect the type of a server.
    MAX_PROBED_BODY: Bytes = 1 << 20;
    /// Time to the first event of a server that may be an HTTP+SSE server.
    FIRST_EVENT_TIMEOUT: Time = Duration::from_secs(5);
    /// Time that a program may take to answer `server/discover`.
    DISCOVER_TIMEOUT: Time = Duration::from_secs(10);

    // Child processes.

    /// Child processes that one backend starts concurrently.
    MAX_STARTS: Count = 16;
    /// Starts that one call waits for, each with the credential that replaced the one before.
    MAX_REPLACED_STARTS: Count = 4;
    /// Instances with a changed spec that are replaced concurrently.
    MAX_REPLACEMENTS: Count = 4;
    /// Timeout for connecting to a child on this machine.
    LOOPBACK_CONNECT_TIMEOUT: Time = Duration::from_secs(1);
    /// Bytes of a child's output, per stream and [`NOISE_INTERVAL`], that are read without a pause.
    MAX_NOISE: Bytes = 1 << 20;
    /// Lines of a child's output, per stream and [`NOISE_INTERVAL`], that are read without a pause.
    MAX_NOISE_LINES: Count = 10_000;
    /// Interval of [`MAX_NOISE`] and [`MAX_NOISE_LINES`].
    NOISE_INTERVAL: Time = Duration::from_millis(100);
    /// Bytes of encoded forms of one instance's secrets that are masked in its output.
    MAX_MASK_LEN: Bytes = 1 << 20;

    // OAuth and tokens.
    /// Entries of a list in an issuer's document.
    MAX_OAUTH_LIST: Count = 256;
    /// Size of a document that is fetched from an issuer or a server, such as metadata or keys.
    MAX_FETCHED_BYTES: Bytes = 1 << 20;
    /// Consecutive redirects to such a document.
    MAX_FETCH_REDIRECTS: Count = 3;
    /// Length of a text in an issuer's document, such as a URL or a client id.
    MAX_OAUTH_TEXT_LEN: Bytes = 8 * 1024;
    /// Length of a scope that a server or an issuer names.
    MAX_SCOPE_LEN: Bytes = 256;
    /// Scopes from servers and issuers in one authorization request.
    MAX_FOUND_SCOPES: Count = 64;
    /// Length of an access token or a refresh token.
    MAX_TOKEN_LEN: Bytes = 64 * 1024;
    /// Length of a caller's token.
    MAX_BEARER_LEN: Bytes = 16 * 1024;
    /// Maximum `Retry-After` that is accepted from an issuer.
    MAX_ISSUER_RETRY_AFTER: Time = Duration::from_mins(5);
    /// Maximum pause between two failing renewals of a token.
    MAX_RENEWAL_BACKOFF: Time = Duration::from_mins(1);
    /// Installations whose last renewal failed, with the time of the next attempt.
    MAX_FAILED_RENEWALS: Count = 10_000;
    /// Authorization servers of one server that are queried for metadata.
    MAX_AUTHORIZATION_SERVERS: Count = 4;
    /// Time to complete a sign-in. Older ones are discarded.
    SIGN_IN_LIFE: Time = Duration::from_mins(10);
    /// Changes of a credential store that a watcher has not read yet.
    MAX_STORE_BACKLOG: Count = 1024;
    /// Changes of installations that a listener has not read yet.
    MAX_INSTALLED_BACKLOG: Count = 4096;
    /// Pending sign-ins per caller.
    MAX_SIGN_INS_PER_CALLER: Count = 20;
    /// Pending sign-ins of all callers together.
    MAX_SIGN_INS: Count = 1000;
    /// Clients registered at one issuer for one caller within `SIGN_IN_LIFE`.
    MAX_REGISTRATIONS_PER_CALLER: Count = 10;
    /// Clients registered at all issuers within `SIGN_IN_LIFE`.
    MAX_REGISTRATIONS: Count = 200;
    /// Time for which the metadata of a server and its issuer is reused for further sign-ins.
    DISCOVERY_TTL: Time = Duration::from_secs(30);
    /// Time for which a failed discovery is returned to further sign-ins.
    FAILED_DISCOVERY_TTL: Time = Duration::from_secs(1);
    /// Servers with cached discovery results.
    MAX_DISCOVERIES: Count = 1000;
    /// Time for which the metadata of an issuer for sign-ins on the gateway's pages is cached.
    ISSUER_METADATA_TTL: Time = Duration::from_mins(5);
    /// Delay before the metadata of an issuer is requested again after a failure.
    ISSUER_RETRY_INTERVAL: Time = Duration::from_secs(5);
    /// Renewed tokens that are kept in memory while the store is unavailable.
    MAX_UNSTORED_TOKENS: Count = 10_000;
    /// Time for which a server without `oauth` in its entry is assumed to require a token after it has refused a call
    /// without one.
    OAUTH_DEMAND_TTL: Time = Duration::from_mins(10);
    /// Size of the head of a response from an issuer or another URL that a server named.
    MAX_FETCHED_HEAD: Bytes = 64 << 10;
    /// Keys of one issuer.
    MAX_ISSUER_KEYS: Count = 64;

    // Configuration files.

    /// Size of a configuration file, or of a file that it refers to.
    MAX_CONFIG_FILE_LEN: Bytes = 8 * 1024 * 1024;
    /// Time in which a file that the configuration names must be written, if it is a pipe.
    CONFIG_PIPE_TIMEOUT: Time = Duration::from_secs(5);
    /// Values and keys in a configuration file; an alias counts each time it is used.
    MAX_CONFIG_NODES: Count = 200_000;
    /// Nesting depth of a configuration file.
    MAX_CONFIG_DEPTH: Count = 64;

    // Kubernetes.
    /// Instances that are stopped or removed concurrently.
    REMOVALS_AT_ONCE: Count = 16;
    /// Maximum pause before a failed removal of an instance is retried.
    MAX_REMOVAL_RETRY_INTERVAL: Time = Duration::from_mins(1);
    /// Objects in one page of a list request.
    KUBERNETES_PAGE_LEN: Count = 500;
    /// Objects without their Deployment that are checked again.
    MAX_LEFT_BEHIND: Count = 10_000;
    /// Kubernetes Events that wait to be written.
    MAX_WAITING_EVENTS: Count = 256;
    /// Kubernetes Events that are remembered, so that warnings are not repeated.
    MAX_REMEMBERED_EVENTS: Count = 1024;
    /// Size of a response from an API server.
    MAX_KUBERNETES_ANSWER: Bytes = 128 << 20;
    /// Pods with warnings that are kept.
    MAX_WARNED_PODS: Count = 4096;
}

#[cfg(test)]
mod tests;
