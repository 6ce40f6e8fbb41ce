//! Server-sent events, read from chunks of a body.

use bytes::{Buf as _, Bytes, BytesMut};

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its type; empty means `message`.
    pub(super) name: String,
    /// Its data, lines joined by a line feed.
    pub(super) data: Bytes,
    /// Its id.
    pub(super) id: Option<String>,
    /// After how many milliseconds to connect again.
    pub(super) retry: Option<u64>,
}

/// Takes chunks, gives events.
#[derive(Debug)]
pub(super) struct Parser {
    buffer: BytesMut,
    searched: usize,
    event: Pending,
    limit: usize,
}

#[derive(Debug, Default)]
struct Pending {
    name: String,
    data: Option<Data>,
    id: Option<String>,
    retry: Option<u64>,
    seen: bool,
}

/// One line of data shares the chunk's memory; only several are copied.
#[derive(Debug)]
enum Data {
    One(Bytes),
    Many(BytesMut),
}

/// An event over the limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {0} bytes")]
pub(super) struct TooLong(usize);

impl Parser {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            event: Pending::default(),
            limit,
        }
    }

    /// Takes the next chunk.
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

    /// The next event that is whole by now.
    pub(super) fn next(&mut self) -> Result<Option<Event>, TooLong> {
        loop {
            let Some(at) = memchr::memchr2(b'\n', b'\r', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                return if self.size() > self.limit {
                    Err(TooLong(self.limit))
                } else {
                    Ok(None)
                };
            };
            let end = self.searched + at;
            let carriage = self.buffer[end] == b'\r';
            if carriage && end + 1 == self.buffer.len() {
                // The line feed that belongs to it may come with the next chunk.
                self.searched = end;
                return Ok(None);
            }
            let line = self.buffer.split_to(end).freeze();
            self.buffer
                .advance(if carriage && self.buffer.get(1) == Some(&b'\n') {
                    2
                } else {
                    1
                });
            self.searched = 0;
            if line.is_empty() {
                if let Some(event) = self.event.take() {
                    return Ok(Some(event));
                }
            } else {
                self.event.field(line);
                if self.size() > self.limit {
                    return Err(TooLong(self.limit));
                }
            }
        }
    }

    fn size(&self) -> usize {
        let data = match &self.event.data {
            None => 0,
            Some(Data::One(one)) => one.len(),
            Some(Data::Many(many)) => many.len(),
        };
        self.buffer.len() + data
    }
}

impl Pending {
    fn field(&mut self, line: Bytes) {
        let (name, value) = match memchr::memchr(b':', &line) {
            Some(0) => return,
            Some(at) => {
                let skip = at + 1 + usize::from(line.get(at + 1) == Some(&b' '));
                (line.slice(..at), line.slice(skip..))
            }
            None => (line, Bytes::new()),
        };
        let text = |value: &Bytes| String::from_utf8_lossy(value).into_owned();
        match &name[..] {
            b"data" => self.data = Some(Data::more(self.data.take(), value)),
            b"event" => self.name = text(&value),
            b"id" if !value.contains(&0) => self.id = Some(text(&value)),
            b"retry" => {
                self.retry = std::str::from_utf8(&value)
                    .ok()
                    .and_then(|ms| ms.parse().ok());
            }
            _ => return,
        }
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
mod tests {
    use super::*;

    fn events(chunks: &[&str]) -> Vec<Event> {
        let mut parser = Parser::new(1000);
        let mut out = Vec::new();
        for chunk in chunks {
            parser.push(Bytes::copy_from_slice(chunk.as_bytes()));
            while let Some(event) = parser.next().unwrap() {
                out.push(event);
            }
        }
        out
    }

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let text = ": hi\n\nid: 7\nretry: 500\ndata:\n\nevent: message\r\ndata: {\"a\":\r\ndata:1}\r\n\r\ndata: x\n\n";
        let whole = events(&[text]);
        assert_eq!(whole.len(), 3);
        assert_eq!(
            (whole[0].id.as_deref(), whole[0].retry, whole[0].data.len()),
            (Some("7"), Some(500), 0)
        );
        assert_eq!(
            (&whole[1].name[..], &whole[1].data[..]),
            ("message", &b"{\"a\":\n1}"[..])
        );
        for cut in 1..text.len() {
            assert_eq!(events(&[&text[..cut], &text[cut..]]), whole, "cut at {cut}");
        }
        let bytes: Vec<&str> = text.split_inclusive(|_| true).collect();
        assert_eq!(events(&bytes), whole);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = Parser::new(10);
        parser.push(Bytes::from_static(b"data: 0123456789abcdef"));
        assert_eq!(parser.next(), Err(TooLong(10)));
    }
}
