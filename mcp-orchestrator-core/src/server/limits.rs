//! Times and sizes of a server.

use std::time::Duration;

/// Times and sizes of a server. A change of them takes effect without a new instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one call, from its arrival to its result.
    pub call_timeout: Duration,
    /// For an instance to become ready.
    pub start_timeout: Duration,
    /// For a list that has to wait for an instance.
    pub list_timeout: Duration,
    /// Between closing its input, asking it to end, and ending it.
    pub stop_grace: Duration,
    /// For a replaced instance to finish its calls.
    pub drain_timeout: Duration,
    /// Idle for so long, an instance goes to rest; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// One message of the server, in bytes.
    pub message_bytes: usize,
    /// Calls at once on one instance.
    pub calls_in_flight: usize,
    /// The longest time a task may hold an instance awake.
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
