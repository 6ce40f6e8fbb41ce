//! Fixed limits on what a caller, a server or a cluster can make this process keep, do or wait for.
//!
//! A limit that an operator may have a reason to change is a configuration key instead, and its default stands here.
//! `docs/limits.md` lists every limit with the error that a caller gets; a test compares it with [`ALL`].

use std::fmt;
use std::time::Duration;

/// A limit as `docs/limits.md` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The constant's name.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
}

/// The value of a [`Limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A size in bytes.
    Bytes(usize),
    /// A number of things.
    Count(usize),
    /// A duration.
    Time(Duration),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * KIB;
        match *self {
            Self::Bytes(bytes) if bytes >= MIB && bytes.is_multiple_of(MIB) => {
                write!(f, "{} MiB", bytes / MIB)
            }
            Self::Bytes(bytes) if bytes >= KIB && bytes.is_multiple_of(KIB) => {
                write!(f, "{} KiB", bytes / KIB)
            }
            Self::Bytes(bytes) => write!(f, "{bytes} B"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Time(time) if time.subsec_millis() > 0 => write!(f, "{} ms", time.as_millis()),
            Self::Time(time) => match time.as_secs() {
                secs if secs >= 3600 && secs.is_multiple_of(3600) => write!(f, "{} h", secs / 3600),
                secs if secs >= 60 && secs.is_multiple_of(60) => write!(f, "{} min", secs / 60),
                secs => write!(f, "{secs} s"),
            },
        }
    }
}

/// Declares limits as constants and lists them in `ALL`.
///
/// `Bytes` and `Count` declare a `usize`, `Time` a [`Duration`].
#[macro_export]
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $kind:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: $crate::limits!(@type $kind) = $value;)*

        /// Every limit that is declared here.
        pub const ALL: &[$crate::limits::Limit] = &[
            $($crate::limits::Limit {
                name: stringify!($name),
                value: $crate::limits::Value::$kind($name),
            },)*
        ];
    };
    (@type Bytes) => { usize };
    (@type Count) => { usize };
    (@type Time) => { ::std::time::Duration };
}

/// The default of `limits.calls_per_principal`.
pub const CALLS_PER_PRINCIPAL: usize = 256;

limits! {
    // Routing and lists.
    /// The longest URI of a resource, of a server or a caller.
    MAX_URI_LEN: Bytes = 8 * 1024;
    /// The longest name of a tool or prompt, of a server or a caller.
    MAX_NAME_LEN: Bytes = 512;
    /// The largest item of a list.
    MAX_ITEM_BYTES: Bytes = 1024 * 1024;
    /// How deep an item of a list may be nested.
    MAX_ITEM_DEPTH: Count = 100;
    /// Items of one list of a server.
    MAX_LIST_ITEMS: Count = 10_000;
    /// Bytes of one list of a server.
    MAX_LIST_BYTES: Bytes = 16 * 1024 * 1024;
    /// Bytes of all lists of a server that are kept in memory, for all owners of credentials.
    MAX_SERVER_LIST_BYTES: Bytes = 128 * 1024 * 1024;
    /// Owners whose lists of one server outlive a restart.
    MAX_STORED_LISTS_PER_SERVER: Count = 10_000;
    /// Pages of one list of a server.
    MAX_LIST_PAGES: Count = 1000;
    /// Pages in a row that add nothing to a list.
    MAX_IDLE_PAGES: Count = 10;
    /// The longest cursor of a server.
    MAX_CURSOR_LEN: Bytes = 16 * 1024;
    /// How long all pages of one list may take.
    MAX_LIST_TIME: Time = Duration::from_mins(5);
    /// The pause after a list before it is fetched again because the server says that it has changed.
    MIN_LIST_PAUSE: Time = Duration::from_millis(100);
    /// The longest such pause: it doubles while the list is the same.
    MAX_LIST_PAUSE: Time = Duration::from_secs(60);
    /// What a server says of itself: its capabilities, its instructions.
    MAX_HELLO_BYTES: Bytes = 1024 * 1024;
    /// A server's instructions, as clients are told them.
    MAX_INSTRUCTIONS_LEN: Bytes = 64 * 1024;
    /// How long the first `initialize` waits for a server that nobody knows yet.
    MAX_HELLO_WAIT: Time = Duration::from_secs(3);
    /// Names and URIs that several servers list, of one gateway and principal.
    MAX_CONFLICTS: Count = 1000;
    /// The longest URI template.
    MAX_TEMPLATE_LEN: Bytes = 2 * 1024;
    /// Expressions in a URI template.
    MAX_TEMPLATE_EXPRESSIONS: Count = 16;
    /// Comparisons that a server's templates may cost for one URI.
    MAX_TEMPLATE_STEPS: Count = 20_000;
    /// URIs that a server's results carried to one principal.
    MAX_CARRIED_URIS: Count = 1024;
    /// Bytes of these.
    MAX_CARRIED_BYTES: Bytes = 64 * 1024;
    /// Bytes of the URIs that all servers carried to all principals.
    MAX_CARRIED_TOTAL: Bytes = 32 * 1024 * 1024;
    /// Items of one page of a list that a caller gets.
    MAX_PAGE_ITEMS: Count = 1000;
    /// Bytes of one page of a list that a caller gets; a single item may be larger.
    MAX_PAGE_BYTES: Bytes = 4 << 20;
    /// Conflicts of names that are logged once, for all principals.
    MAX_LOGGED_CONFLICTS: Count = 1024;

    // Sessions, streams, subscriptions and tasks.
    /// What a legacy client says of itself (`clientInfo`), kept with its session.
    MAX_CLIENT_INFO_LEN: Bytes = 4 * 1024;
    /// What a legacy client says it can do (`capabilities`), kept with its session.
    MAX_CAPABILITIES_LEN: Bytes = 16 * 1024;
    /// Events that one stream of a session keeps.
    MAX_EVENTS_PER_STREAM: Count = 256;
    /// Bytes of events that one stream of a session keeps, besides its newest event.
    MAX_EVENT_BYTES_PER_STREAM: Bytes = 4 << 20;
    /// Bytes of events that one session keeps for streams that nobody reads.
    MAX_EVENT_BYTES_PER_SESSION: Bytes = 16 << 20;
    /// Bytes of events that all sessions keep for streams that nobody reads.
    MAX_EVENT_BYTES: Bytes = 256 << 20;
    /// Ended streams of a session that can be resumed.
    MAX_ENDED_STREAMS: Count = 16;
    /// Instances whose logs, restarts and last errors are remembered after their end.
    MAX_SEEN_INSTANCES: Count = 512;
    /// Principals of modern clients whose conversations with servers are remembered.
    MAX_MODERN_CALLERS: Count = 100_000;
    /// Requests of servers that wait for the answers of one session's client; further ones are refused.
    MAX_ASKED_PER_SESSION: Count = 256;
    /// Streams of `subscriptions/listen` that one principal has open.
    MAX_LISTENS_PER_PRINCIPAL: Count = 64;
    /// The id of a `subscriptions/listen`, which every notification of its stream repeats.
    MAX_LISTEN_ID_LEN: Bytes = 1024;
    /// Resources that one principal is subscribed to, in all its sessions and streams together.
    MAX_SUBSCRIPTIONS_PER_PRINCIPAL: Count = 1024;
    /// The URI of a resource that a caller subscribes to.
    MAX_SUBSCRIBED_URI_LEN: Bytes = 8 * 1024;
    /// Subscriptions to resources, of all principals together.
    MAX_SUBSCRIPTIONS: Count = 65_536;
    /// Tasks of one principal that are remembered.
    MAX_TASKS_PER_PRINCIPAL: Count = 1000;
    /// Tasks that are remembered, of all principals together.
    MAX_TASKS: Count = 10_000;
    /// Pages of one server's `tasks/list`.
    MAX_TASK_PAGES: Count = 100;
    /// How often open sessions and streams are checked for rights that were lost, besides after each change.
    RIGHTS_CHECK_INTERVAL: Time = Duration::from_secs(15);
    /// Between two such checks, so that many changes at once are one.
    RIGHTS_CHECK_PAUSE: Time = Duration::from_millis(50);
    /// How often a message is judged again because rights changed while it was judged.
    MAX_RIGHTS_CHECKS: Count = 4;
    /// Sessions whose last request is authenticated again at once, after a change of access.
    MAX_ACCESS_CHECKS: Count = 32;
    /// How long that may take for one session; what is not determined by then is asked again.
    ACCESS_CHECK_TIMEOUT: Time = Duration::from_secs(5);
    /// Links that are open at once, of all principals.
    MAX_LINKS: Count = 10_000;
    /// How long a link can be opened.
    LINK_LIFETIME: Time = Duration::from_mins(10);
    /// Audit events that wait for the disk.
    MAX_WAITING_AUDIT_LINES: Count = 8192;
    /// Notifications that wait for a slow listener.
    MAX_WAITING_NOTIFICATIONS: Count = 64;
    /// The name or version of a client whose `clientInfo` is too long.
    MAX_CLIENT_NAME_LEN: Bytes = 256;
    /// A name or an address in an audit event.
    MAX_AUDITED_NAME_LEN: Bytes = 1024;
    /// The value of a slot: what an environment variable can hold on every system.
    MAX_SLOT_VALUE_LEN: Bytes = 100_000;

    // Conversations with servers.

    /// Messages of one batch that are read.
    MAX_BATCH_ITEMS: Count = 256;
    /// The head of an HTTP response.
    MAX_RESPONSE_HEAD: Bytes = 64 << 10;
    /// Header fields of an HTTP response.
    MAX_RESPONSE_FIELDS: Count = 100;
    /// Interim (1xx) responses before the final one.
    MAX_INTERIM_RESPONSES: Count = 8;
    /// The line that gives a chunk's size.
    MAX_CHUNK_LINE: Bytes = 4 << 10;
    /// Trailer fields after a chunked body.
    MAX_TRAILERS: Bytes = 16 << 10;
    /// Redirects in a row that a request follows.
    MAX_REDIRECTS: Count = 5;
    /// The part of a refusal's body that is read for the error message.
    MAX_REFUSAL_BODY: Bytes = 16 << 10;
    /// How long that part is waited for.
    REFUSAL_TIMEOUT: Time = Duration::from_secs(2);
    /// The part of a server's text that an error message quotes.
    MAX_QUOTED_TEXT: Bytes = 300;
    /// The optional fields at the front of a gzip stream.
    MAX_GZIP_HEADER: Bytes = 4 << 10;
    /// A session id that a server gives.
    MAX_UPSTREAM_SESSION_ID: Bytes = 4 << 10;
    /// The id of an event of a server.
    MAX_EVENT_ID: Bytes = 4 << 10;
    /// What a stream of events may bring besides messages since the last one.
    MAX_EVENT_FILLER: Bytes = 1 << 20;
    /// Requests of a server in one conversation that wait for their answer.
    MAX_SERVER_REQUESTS: Count = 64;
    /// How long a client's subscription waits until a modern server has acknowledged it.
    SUBSCRIBED_TIMEOUT: Time = Duration::from_secs(3);
    /// How long a legacy server's question to a modern client waits for the client's next call.
    QUESTION_TIMEOUT: Time = Duration::from_mins(5);
    /// Messages outside of calls that one conversation may bring in a second.
    MAX_UNSOLICITED_RATE: Count = 500;
    /// Notifications of one call that an HTTP server may send in a second.
    MAX_CALL_RATE: Count = 5000;
    /// The shortest wait before a stream is opened again, whatever its server asks for.
    RECONNECT_MIN: Time = Duration::from_millis(500);
    /// The longest wait before a stream is opened again.
    RECONNECT_MAX: Time = Duration::from_secs(30);
    /// Resumptions of a call's stream in a row that bring no message.
    MAX_RESUMES: Count = 20;
    /// Resumptions of a call's stream in a row that bring nothing at all.
    MAX_EMPTY_RESUMES: Count = 5;
    /// The longest `Retry-After` of a server that is believed.
    MAX_RETRY_AFTER: Time = Duration::from_mins(5);
    /// Before it is tried again whether a refusal means a lost session.
    SESSION_PROBE_INTERVAL: Time = Duration::from_secs(10);
    /// Idle connections to one endpoint.
    MAX_IDLE_CONNECTIONS: Count = 256;
    /// How long an idle connection is kept; shorter than what servers commonly grant.
    CONNECTION_IDLE_TIMEOUT: Time = Duration::from_secs(50);
    /// Cancellations and answers on their way to one endpoint, and as many that wait.
    MAX_CHORES: Count = 1024;
    /// How long a cancellation may take.
    CHORE_TIMEOUT: Time = Duration::from_secs(10);
    /// Messages of one call that wait for a slow client (programs only; HTTP servers are made to wait).
    MAX_CALL_BACKLOG: Count = 64;
    /// How long the output of a program is read after its end.
    OUTPUT_DRAIN_TIMEOUT: Time = Duration::from_secs(1);
    /// Bytes of a decoded answer that are read to find out what a server is.
    MAX_PROBED_BODY: Bytes = 1 << 20;

    // Child processes.

    /// Child processes that one backend starts at the same time.
    MAX_STARTS: Count = 16;
    /// Time for one connection to a child on this machine.
    LOOPBACK_CONNECT_TIMEOUT: Time = Duration::from_secs(1);
    /// Output of a child, per stream and [`NOISE_INTERVAL`], that is read without a pause.
    MAX_NOISE: Bytes = 1 << 20;
    /// Lines of a child, per stream and [`NOISE_INTERVAL`], that are read without a pause.
    MAX_NOISE_LINES: Count = 10_000;
    /// The interval of [`MAX_NOISE`] and [`MAX_NOISE_LINES`].
    NOISE_INTERVAL: Time = Duration::from_millis(100);
    /// Bytes of encoded forms of one instance's secrets that are looked for in its output.
    MAX_MASK_LEN: Bytes = 1 << 20;

    // OAuth and tokens.
    /// Words of a list in a document of an issuer.
    MAX_OAUTH_LIST: Count = 256;
    /// A text in a document of an issuer, as an address or a client's id.
    MAX_OAUTH_TEXT_LEN: Bytes = 8 * 1024;
    /// A scope that a server or an issuer names.
    MAX_SCOPE_LEN: Bytes = 256;
    /// Scopes of servers and issuers in one authorization request.
    MAX_FOUND_SCOPES: Count = 64;
    /// An access token or a refresh token.
    MAX_TOKEN_LEN: Bytes = 64 * 1024;
    /// The longest wait before the next request that an issuer can ask for.
    MAX_ISSUER_RETRY_AFTER: Time = Duration::from_mins(5);
    /// The longest pause between two renewals of a token that fail.
    MAX_RENEWAL_BACKOFF: Time = Duration::from_mins(1);
    /// Authorization servers of a server that are asked for their metadata.
    MAX_AUTHORIZATION_SERVERS: Count = 4;
    /// How long a sign-in has; what was begun before is forgotten.
    SIGN_IN_LIFE: Time = Duration::from_mins(10);
    /// Sign-ins of one caller that have begun and not ended.
    MAX_SIGN_INS_PER_CALLER: Count = 20;
    /// Sign-ins of all callers together.
    MAX_SIGN_INS: Count = 1000;
    /// Clients registered at one issuer for one caller within `SIGN_IN_LIFE`.
    MAX_REGISTRATIONS_PER_CALLER: Count = 10;
    /// Clients registered at all issuers within `SIGN_IN_LIFE`.
    MAX_REGISTRATIONS: Count = 200;
    /// How long what a server and its issuer say of themselves is used for further sign-ins.
    DISCOVERY_TTL: Time = Duration::from_secs(30);
    /// How long a discovery that failed is told to others who begin a sign-in.
    FAILED_DISCOVERY_TTL: Time = Duration::from_secs(1);
    /// Servers whose discovery is kept.
    MAX_DISCOVERIES: Count = 1000;
    /// How long the metadata of an issuer at whose pages people sign in is kept.
    ISSUER_METADATA_TTL: Time = Duration::from_mins(5);
    /// How soon an issuer whose metadata was not found is asked again.
    ISSUER_RETRY_INTERVAL: Time = Duration::from_secs(5);
    /// Renewed tokens that are kept in memory while the store takes none.
    MAX_UNSTORED_TOKENS: Count = 10_000;
    /// How long a server without `oauth` in its entry is taken to want a token after it has refused a call without one.
    OAUTH_DEMAND_TTL: Time = Duration::from_mins(10);
    /// The head of an answer of an issuer or another address that a server named.
    MAX_FETCHED_HEAD: Bytes = 64 << 10;
    /// Keys of one issuer.
    MAX_ISSUER_KEYS: Count = 64;

    // Configuration files.

    /// Size of a configuration file, or of a file that it names.
    MAX_CONFIG_FILE_LEN: Bytes = 8 * 1024 * 1024;
    /// Values and keys in a configuration file; an alias counts as often as it is used.
    MAX_CONFIG_NODES: Count = 200_000;
    /// Depth of nesting in a configuration file.
    MAX_CONFIG_DEPTH: Count = 64;

    // Kubernetes.
    /// Removals and stops of instances at once.
    REMOVALS_AT_ONCE: Count = 16;
    /// The longest pause before a removal of an instance that failed is tried again.
    MAX_REMOVAL_RETRY_INTERVAL: Time = Duration::from_mins(1);
    /// Objects of one page of a list.
    KUBERNETES_PAGE_LEN: Count = 500;
    /// Objects without their Deployment that are looked at again.
    MAX_LEFT_BEHIND: Count = 10_000;
    /// Kubernetes Events that wait to be written.
    MAX_WAITING_EVENTS: Count = 256;
    /// Kubernetes Events that are remembered, so that a warning is not repeated.
    MAX_REMEMBERED_EVENTS: Count = 1024;
    /// One answer of an API server.
    MAX_KUBERNETES_ANSWER: Bytes = 128 << 20;
    /// Pods whose warnings are kept.
    MAX_WARNED_PODS: Count = 4096;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_limit_with_its_value() {
        let page = include_str!("../../docs/limits.md");
        for limit in ALL {
            let row = format!("| `{}` | {} |", limit.name, limit.value);
            assert!(page.contains(&row), "docs/limits.md lacks the row {row}");
        }
    }

    #[test]
    fn values_are_shown_in_the_largest_whole_unit() {
        let shown = [
            (Value::Bytes(8 * 1024), "8 KiB"),
            (Value::Bytes(100), "100 B"),
            (Value::Bytes(3 << 20), "3 MiB"),
            (Value::Count(16), "16"),
            (Value::Time(Duration::from_millis(500)), "500 ms"),
            (Value::Time(Duration::from_secs(90)), "90 s"),
            (Value::Time(Duration::from_mins(10)), "10 min"),
        ];
        for (value, text) in shown {
            assert_eq!(value.to_string(), text);
        }
    }
}
