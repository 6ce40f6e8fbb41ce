//! Splits a pod's log into lines with their timestamps, bounded in length and without protocol messages.

use std::time::SystemTime;

use crate::runtime::{LogLine, LogSource};

/// Maximum length of a line, in bytes.
const MAX_LINE_LEN: usize = 8 << 10;

/// Splits a byte stream into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    kept: Vec<u8>,
    seen: usize,
}

impl Lines {
    /// Returns the lines that are completed by these bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let (mut lines, mut rest) = (Vec::new(), bytes);
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.add(&rest[..end]);
            lines.push(self.take());
            rest = &rest[end + 1..];
        }
        self.add(rest);
        lines
    }

    /// Returns the unterminated last line, if any.
    pub(crate) fn end(&mut self) -> Option<String> {
        (self.seen > 0).then(|| self.take())
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = MAX_LINE_LEN.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.seen += bytes.len();
    }

    fn take(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let text = match self.seen - self.kept.len() {
            0 => text.trim_end_matches('\r').to_owned(),
            cut => format!("{text}… ({cut} bytes cut)"),
        };
        self.kept.clear();
        self.seen = 0;
        text
    }
}

/// Parses a line that starts with a timestamp. Returns `None` if `stdio` is set and the line is a protocol message.
pub(crate) fn line(text: &str, stdio: bool) -> Option<LogLine> {
    let (at, text) = match text.split_once(' ') {
        Some((time, rest)) => match time.parse::<k8s_openapi::jiff::Timestamp>() {
            Ok(time) => (SystemTime::from(time), rest),
            Err(_) => (SystemTime::now(), text),
        },
        None => (SystemTime::now(), text),
    };
    if stdio && is_message(text) {
        return None;
    }
    Some(LogLine {
        at,
        source: LogSource::Stderr,
        text: text.to_owned(),
    })
}

/// Returns `true` if a line is a JSON-RPC message. A truncated line is recognized by its beginning.
fn is_message(text: &str) -> bool {
    let text = text.trim_start();
    if !text.starts_with('{') || !text.contains("\"jsonrpc\"") {
        return false;
    }
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => value["jsonrpc"] == "2.0",
        Err(_) => text.contains("bytes cut)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_reassembled_and_bounded() {
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"one\r\ntw"), ["one"]);
        assert_eq!(lines.feed(b"o\n\nthree"), ["two", ""]);
        assert_eq!(lines.end().as_deref(), Some("three"));
        assert_eq!(lines.end(), None);
        lines.feed(&[b'x'; MAX_LINE_LEN + 5]);
        assert!(lines.end().unwrap().ends_with("x… (5 bytes cut)"));
    }

    #[test]
    fn messages_are_dropped_only_from_the_log_of_a_pipe() {
        let at = "2026-01-31T08:00:00.5Z";
        let message = format!("{at} {{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{}}}}");
        assert_eq!(line(&message, true), None);
        assert!(line(&message, false).is_some());
        let said = line(&format!("{at} {{\"level\":\"info\"}}"), true).unwrap();
        assert_eq!(said.text, "{\"level\":\"info\"}");
        assert_eq!(crate::time::utc(said.at), "2026-01-31T08:00:00Z");
        assert_eq!(line("no time", true).unwrap().text, "no time");
        assert_eq!(
            line("{\"jsonrpc\":\"2.0\",\"par… (9 bytes cut)", true),
            None
        );
    }
}
