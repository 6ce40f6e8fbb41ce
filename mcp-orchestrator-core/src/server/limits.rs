//! Timeouts and size limits of a server.

use std::time::Duration;

/// Timeouts and size limits of a server. Changes take effect without a new instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Timeout of a call, from its arrival to its result. Default: 5 min.
    pub call_timeout: Duration,
    /// Timeout for an instance to become ready. Default: 2 min.
    pub start_timeout: Duration,
    /// Timeout of a list request that has to wait for an instance. Default: 10 s.
    pub list_timeout: Duration,
    /// Delay between the steps of a stop: closing its input, asking it to terminate, and killing it. Default: 3 s.
    pub stop_grace: Duration,
    /// How long a replaced instance may take to finish its calls. Default: 5 min.
    pub drain_timeout: Duration,
    /// How long an instance may be idle before it is stopped. `None`: it is never stopped. Default: 30 min.
    pub idle_timeout: Option<Duration>,
    /// Maximum size of a message from the server, in bytes. Default: 64 MiB.
    pub message_bytes: usize,
    /// Maximum number of concurrent calls per instance. Default: 1024.
    pub calls_in_flight: usize,
    /// Maximum time for which a task keeps an instance running. Default: 24 h.
    pub task_ttl_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_mins(5),
            start_timeout: Duration::from_mins(2),
            list_timeout: Duration::from_secs(10),
            stop_grace: Duration::from_secs(3),
            drain_timeout: Duration::from_mins(5),
            idle_timeout: Some(Duration::from_mins(30)),
            message_bytes: 64 << 20,
            calls_in_flight: 1024,
            task_ttl_max: Duration::from_hours(24),
        }
    }
}
