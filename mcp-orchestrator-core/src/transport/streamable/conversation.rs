//! An established session, which its requests and streams share.

use std::sync::atomic::AtomicUsize;

use http::{HeaderName, HeaderValue};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::request::headers::Lines;
use crate::limits::SESSION_PROBE_INTERVAL;
use crate::protocol::header;
use crate::transport::Hello;

pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static(header::SESSION_ID);

/// An established session.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// `true` if the server assigned a session id.
    pub(crate) named: bool,
    /// Header fields of every request in the session.
    pub(crate) lines: Lines,
    pub(crate) hello: Hello,
    /// Cancelled when the session ends.
    pub(crate) over: CancellationToken,
    /// Number of the server's requests that await an answer.
    pub(crate) asking: AtomicUsize,
    /// When a new session was last tried in place of this one.
    pub(crate) probed: parking_lot::Mutex<Option<Instant>>,
}

impl Conversation {
    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    pub(crate) fn is_named(&self) -> bool {
        self.named
    }

    /// Returns `true` if a new session may be tried now, limited to once per [`SESSION_PROBE_INTERVAL`]: a server that
    /// refuses often is not probed each time.
    pub(crate) fn may_probe(&self) -> bool {
        let mut probed = self.probed.lock();
        let may = probed.is_none_or(|last| last.elapsed() >= SESSION_PROBE_INTERVAL);
        if may {
            *probed = Some(Instant::now());
        }
        may
    }

    /// Returns the header fields to resume a stream after this event.
    pub(crate) fn lines_after(&self, event: &str) -> Lines {
        const LAST: HeaderName = HeaderName::from_static(header::LAST_EVENT_ID);
        let mut lines = self.lines.clone();
        if let Ok(event) = HeaderValue::from_str(event) {
            lines.push(&LAST, &event);
        }
        lines
    }
}
