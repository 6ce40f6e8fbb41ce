//! The log output of a child, and how the child ended.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::Instant;

use crate::limits::{MAX_NOISE, MAX_NOISE_LINES, NOISE_INTERVAL};
use crate::runtime::{Exit, InstanceKey, LogBook, LogSource};

/// Maximum length of a stored line, in bytes.
const LINE_BYTES: usize = 8 << 10;
/// Number of lines in the tail of an [`Exit`].
const TAIL_LINES: usize = 20;

/// Logs every line until end-of-file. Pauses only when there is too much output, so that a noisy child costs a
/// bounded share of a core.
pub(super) async fn read_lines(
    mut from: impl AsyncRead + Unpin,
    key: InstanceKey,
    source: LogSource,
    book: LogBook,
) {
    let mut chunk = vec![0; 16 << 10];
    let mut line = Line::default();
    let mut pace = Pace::new();
    loop {
        let read = match from.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(read) => &chunk[..read],
        };
        let mut rest = read;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            line.add(&rest[..end]);
            line.note(&key, source, &book);
            pace.lines += 1;
            rest = &rest[end + 1..];
        }
        line.add(rest);
        pace.bytes += read.len();
        pace.keep().await;
    }
    if line.seen > 0 {
        line.note(&key, source, &book);
    }
}

/// How much has been read in the current interval.
struct Pace {
    since: Instant,
    bytes: usize,
    lines: usize,
}

impl Pace {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            bytes: 0,
            lines: 0,
        }
    }

    /// Waits for the end of the interval if its budget is used up.
    async fn keep(&mut self) {
        if self.bytes >= MAX_NOISE || self.lines >= MAX_NOISE_LINES {
            tokio::time::sleep_until(self.since + NOISE_INTERVAL).await;
        } else if self.since.elapsed() < NOISE_INTERVAL {
            return;
        }
        *self = Self::new();
    }
}

/// A partial line, without the bytes over the limit.
#[derive(Default)]
struct Line {
    kept: Vec<u8>,
    seen: usize,
}

impl Line {
    fn add(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.seen += bytes.len();
    }

    fn note(&mut self, key: &InstanceKey, source: LogSource, book: &LogBook) {
        let text = String::from_utf8_lossy(&self.kept);
        let missing = self.seen - self.kept.len();
        book.note_part(key, source, text.trim_end_matches('\r'), missing);
        self.kept.clear();
        self.seen = 0;
    }
}

/// Describes how a child ended, with its last lines.
pub(super) fn exit(status: Option<ExitStatus>, key: &InstanceKey, book: &LogBook) -> Exit {
    let reason = match status {
        None => "ended".to_owned(),
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => match signal_name(signal) {
                Some(name) => format!("killed by signal {signal} ({name})"),
                None => format!("killed by signal {signal}"),
            },
            (None, None) => "ended".to_owned(),
        },
    };
    Exit {
        reason,
        code: status.and_then(|status| status.code()),
        tail: book.tail(key, TAIL_LINES),
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    use rustix::process::Signal;
    const NAMES: [(Signal, &str); 13] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
    ];
    let named = NAMES.iter().find(|(known, _)| known.as_raw() == signal);
    named.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{Owner, Revision};
    use crate::id::ServerId;
    use crate::runtime::{Scope, SpecDigest};

    #[tokio::test]
    async fn arbitrary_output_becomes_bounded_lines() {
        let key = InstanceKey::new(
            ServerId::new("a").unwrap(),
            Owner::Organization,
            Revision::none(),
            Scope::Shared,
            SpecDigest::from_text("0"),
        );
        let book = LogBook::default();
        let mut noise = b"one\r\n\xff\xfe\n\n".to_vec();
        noise.extend(std::iter::repeat_n(b'x', 100_000));
        noise.extend(b"\nlast");
        read_lines(&noise[..], key.clone(), LogSource::Stderr, book.clone()).await;
        let exit = exit(Some(ExitStatus::from_raw(9)), &key, &book);
        assert_eq!(exit.reason, "killed by signal 9 (SIGKILL)");
        assert_eq!(exit.tail.len(), 5);
        assert_eq!(exit.tail[..3], ["one", "\u{fffd}\u{fffd}", ""]);
        assert!(exit.tail[3].len() < 1200);
        assert_eq!(exit.tail[4], "last");
    }
}
