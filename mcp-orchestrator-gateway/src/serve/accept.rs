//! Accepting connections: how refused clients are answered, and how often refusals are logged.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::connections::Full;
use crate::limits::REPEATED_LOG_INTERVAL;

/// The pause before accepting again after `accept` failed.
pub(super) const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

impl Full {
    fn as_str(self) -> &'static str {
        match self {
            Self::Total => "too many connections",
            Self::Address => "too many connections from this address",
        }
    }
}

/// Answers a connection that cannot be served, as far as that is possible without waiting.
pub(super) fn refuse(stream: TcpStream, why: Full) -> io::Result<()> {
    let body = format!("{}: try again later\n", why.as_str());
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    // The socket is non-blocking, and the send buffer of a new connection is empty.
    let mut stream = stream.into_std()?;
    stream.write_all(answer.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    // Closing with unread input would make the system discard the answer.
    let mut arrived = [0; 4096];
    while matches!(stream.read(&mut arrived), Ok(count) if count > 0) {}
    Ok(())
}

/// A warning that may occur very often. It is logged at most once per interval, with the number of suppressed ones.
#[derive(Debug)]
pub(super) struct RateLimitedWarning {
    what: &'static str,
    last: Option<Instant>,
    missed: usize,
}

impl RateLimitedWarning {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            last: None,
            missed: 0,
        }
    }

    /// Logs the warning with this reason, unless it was logged recently.
    pub(super) fn warn(&mut self, why: &dyn std::fmt::Display) {
        let recent = |last: Instant| last.elapsed() < REPEATED_LOG_INTERVAL;
        if self.last.is_some_and(recent) {
            self.missed += 1;
            return;
        }
        tracing::warn!(error = %why, unlogged = self.missed, "{}", self.what);
        self.last = Some(Instant::now());
        self.missed = 0;
    }
}

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
