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

    // Conversations with servers.

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
