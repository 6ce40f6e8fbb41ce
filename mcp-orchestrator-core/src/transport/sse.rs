//! Parses server-sent events from the chunks of a body.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::jsonrpc::{BYTE_ORDER_MARK, Outline};
use crate::limits::MAX_EVENT_ID;

/// Maximum length kept of an event type; no known type is longer.
const MAX_NAME: usize = 64;

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// The event type; empty means `message`.
    pub(super) name: String,
    /// The data; lines are joined by a line feed.
    pub(super) data: Bytes,
    /// The event id.
    pub(super) id: Option<String>,
    /// The reconnection time in milliseconds.
    pub(super) retry: Option<u64>,
}

/// Parses events from chunks.
#[derive(Debug)]
pub(super) struct Parser {
    buffer: BytesMut,
    searched: usize,
    /// `true` if the last byte was a carriage return, which a line feed may complete.
    after_return: bool,
    event: Pending,
    limit: usize,
    /// Number of bytes received since the last useful event that were not part of one.
    filler: usize,
    /// An event over the limit that is being skipped.
    over: Option<Over>,
}

#[derive(Debug, Default)]
struct Pending {
    name: String,
    data: Option<Data>,
    id: Option<String>,
    retry: Option<u64>,
    seen: bool,
}

/// A single line of data shares the memory of its chunk; only several lines are copied.
#[derive(Debug)]
enum Data {
    One(Bytes),
    Many(BytesMut),
}

/// An event exceeded the limit and was skipped.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {limit} bytes")]
pub(super) struct TooLong {
    limit: usize,
    /// The JSON id of the request that the event answers, if it certainly is an answer.
    pub(super) answers: Option<String>,
}

#[derive(Debug, Default)]
struct Over {
    outline: Outline,
    /// Inside a line: `true` if it is a data line.
    line: Option<bool>,
}

impl Parser {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            after_return: false,
            event: Pending::default(),
            limit,
            filler: 0,
            over: None,
        }
    }

    /// Adds the next chunk.
    pub(super) fn push(&mut self, chunk: Bytes) {
        if self.buffer.is_empty() {
            self.buffer = chunk
                .try_into_mut()
                .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
            self.searched = 0;
        } else {
            self.buffer.extend_from_slice(&chunk);
        }
    }

    /// Returns the event at the end of the stream that lacks its empty line, if there is one. It may be cut.
    pub(super) fn end(&mut self) -> Option<Event> {
        if self.over.is_some() {
            return None;
        }
        self.complete_line_end();
        self.searched = 0;
        let mut line = self.buffer.split().freeze();
        if let Some(value) = self.event.field(&line) {
            line.advance(value);
            self.event.more(line);
        }
        self.event.take()
    }

    /// Skips the line feed of a line end whose carriage return was read before.
    fn complete_line_end(&mut self) {
        if self.after_return && !self.buffer.is_empty() {
            self.after_return = false;
            if self.buffer[0] == b'\n' {
                self.buffer.advance(1);
            }
        }
    }

    /// Returns the number of bytes received since [`fed`](Self::fed) that were not part of a useful event.
    pub(super) fn filler(&self) -> usize {
        self.filler
    }

    /// Resets the filler count after a useful event.
    pub(super) fn fed(&mut self) {
        self.filler = 0;
    }

    /// Counts an event of this size as filler.
    pub(super) fn wasted(&mut self, bytes: usize) {
        self.filler = self.filler.saturating_add(bytes);
    }

    /// Returns `true` while an event over the limit is being skipped.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Returns the next complete event, or `None` if more input is needed.
    ///
    /// # Errors
    /// [`TooLong`] at the end of an event over the limit. The next call continues after that event.
    pub(super) fn next(&mut self) -> Result<Option<Event>, TooLong> {
        loop {
            self.complete_line_end();
            if self.over.is_some() {
                match self.pass_over() {
                    Some(answers) => {
                        let limit = self.limit;
                        return Err(TooLong { limit, answers });
                    }
                    None => return Ok(None),
                }
            }
            self.skip_comments();
            let Some(at) = line_end(&self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                if self.size() > self.limit {
                    self.begin_over();
                    continue;
                }
                return Ok(None);
            };
            let end = self.searched + at;
            let carriage = self.buffer[end] == b'\r';
            // The line feed that completes the line end may arrive with the next chunk, or never.
            self.after_return = carriage && end + 1 == self.buffer.len();
            let feed = usize::from(carriage && self.buffer.get(end + 1) == Some(&b'\n'));
            self.searched = 0;
            // Only data is split off: a server may send millions of other lines.
            if let Some(value) = self.event.field(&self.buffer[..end]) {
                let mut line = self.buffer.split_to(end).freeze();
                self.buffer.advance(1 + feed);
                line.advance(value);
                self.event.more(line);
                // Check a long line by itself, whatever follows it in the buffer.
                if self.event.data_len() > self.limit {
                    self.begin_over();
                }
                continue;
            }
            self.buffer.advance(end + 1 + feed);
            if end == 0
                && let Some(event) = self.event.take()
            {
                return Ok(Some(event));
            }
            self.filler = self.filler.saturating_add(end + 1);
        }
    }

    /// Skips complete comments at the beginning of the input in one step: a server may send millions of short ones.
    fn skip_comments(&mut self) {
        // A line that was searched before has no end yet.
        if self.searched > 0 {
            return;
        }
        let (buffer, mut at, mut lines) = (&self.buffer[..], 0, 0);
        while buffer.get(at) == Some(&b':') {
            let Some(end) = line_end(&buffer[at..]).map(|end| at + end) else {
                break;
            };
            let feed = match (buffer[end], buffer.get(end + 1)) {
                (b'\n', _) => 0,
                // The line feed may arrive with the next chunk.
                (_, None) => break,
                (_, Some(next)) => usize::from(*next == b'\n'),
            };
            lines += end + 1 - at;
            at = end + 1 + feed;
        }
        if at > 0 {
            self.filler = self.filler.saturating_add(lines);
            self.buffer.advance(at);
        }
    }

    /// Starts to skip the current event, keeping only its outline.
    fn begin_over(&mut self) {
        let mut over = Over::default();
        let event = std::mem::take(&mut self.event);
        match &event.data {
            None => {}
            Some(Data::One(data)) => over.outline.push(data),
            Some(Data::Many(data)) => over.outline.push(data),
        }
        self.over = Some(over);
        self.searched = 0;
    }

    /// Skips input of an event over the limit. Returns, at the end of the event, the id that it answers, if any.
    fn pass_over(&mut self) -> Option<Option<String>> {
        loop {
            self.complete_line_end();
            let over = self.over.as_mut()?;
            let end = memchr::memchr2(b'\n', b'\r', &self.buffer);
            let is_data = match over.line {
                Some(is_data) => is_data,
                // Too little input to determine the field name.
                None if end.is_none() && self.buffer.len() < 6 => return None,
                None => {
                    let is_data = self.buffer.starts_with(b"data:");
                    if is_data {
                        self.buffer.advance(5);
                    }
                    over.line = Some(is_data);
                    continue;
                }
            };
            let part = self.buffer.split_to(end.unwrap_or(self.buffer.len()));
            if is_data {
                over.outline.push(&part);
            }
            end?;
            self.after_return = self.buffer[0] == b'\r';
            self.buffer.advance(1);
            over.line = None;
            if !is_data && part.is_empty() {
                let answers = over.outline.answered().map(str::to_owned);
                self.over = None;
                return Some(answers);
            }
        }
    }

    /// Returns the number of bytes of events that are not complete.
    pub(super) fn size(&self) -> usize {
        self.buffer.len() + self.event.data_len()
    }
}

/// Returns the position of the first line end. The start of a call of `memchr2` takes longer than a short line.
fn line_end(text: &[u8]) -> Option<usize> {
    const SHORT: usize = 16;
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let near = text.iter().take(SHORT).position(is_end);
    near.or_else(|| {
        let rest = text.get(SHORT..)?;
        Some(SHORT + memchr::memchr2(b'\n', b'\r', rest)?)
    })
}

impl Pending {
    fn data_len(&self) -> usize {
        match &self.data {
            None => 0,
            Some(Data::One(one)) => one.len(),
            Some(Data::Many(many)) => many.len(),
        }
    }

    /// Parses a line. Returns where the value begins if the line holds data, which [`more`](Self::more) adds.
    fn field(&mut self, line: &[u8]) -> Option<usize> {
        if line.first() == Some(&b':') {
            return None;
        }
        let start = if line.starts_with(BYTE_ORDER_MARK) {
            BYTE_ORDER_MARK.len()
        } else {
            0
        };
        let field = &line[start..];
        let (name, value) = match memchr::memchr(b':', field) {
            Some(0) => return None,
            Some(at) => {
                let skip = at + 1 + usize::from(field.get(at + 1) == Some(&b' '));
                (&field[..at], skip)
            }
            None => (field, field.len()),
        };
        let (text, value_at) = (&field[value..], start + value);
        match name {
            b"data" => return Some(value_at),
            b"event" => {
                let text = &text[..text.len().min(MAX_NAME)];
                self.name = String::from_utf8_lossy(text).into_owned();
            }
            b"id" if !text.contains(&0) && text.len() <= MAX_EVENT_ID => {
                self.id = Some(String::from_utf8_lossy(text).into_owned());
            }
            b"retry" => {
                let ms = std::str::from_utf8(text).ok();
                self.retry = ms.and_then(|ms| ms.parse().ok());
            }
            _ => return None,
        }
        self.seen = true;
        None
    }

    /// Adds a line of data.
    fn more(&mut self, line: Bytes) {
        self.data = Some(Data::more(self.data.take(), line));
        self.seen = true;
    }

    fn take(&mut self) -> Option<Event> {
        let pending = std::mem::take(self);
        let data = match pending.data {
            None => Bytes::new(),
            Some(Data::One(data)) => data,
            Some(Data::Many(data)) => data.freeze(),
        };
        pending.seen.then_some(Event {
            name: pending.name,
            data,
            id: pending.id,
            retry: pending.retry,
        })
    }
}

impl Data {
    fn more(before: Option<Self>, line: Bytes) -> Self {
        let mut many = match before {
            None => return Self::One(line),
            Some(Self::One(first)) => BytesMut::from(&first[..]),
            Some(Self::Many(many)) => many,
        };
        many.extend_from_slice(b"\n");
        many.extend_from_slice(&line);
        Self::Many(many)
    }
}

#[cfg(test)]
mod tests;
