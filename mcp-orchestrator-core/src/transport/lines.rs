//! Reads the lines of a pipe, each bounded by a limit.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::pace::Turns;
use crate::jsonrpc::Outline;

/// A line, or what is reported in place of one over the limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its line end.
    Whole(Bytes),
    /// A line over the limit: its length, and the JSON id of the request that it answers, if it certainly is an answer.
    Over {
        answers: Option<String>,
        length: usize,
    },
}

/// Reads lines. A line longer than `limit` is skipped and never held in memory.
pub(super) struct Lines<R> {
    reader: R,
    buffer: BytesMut,
    /// How much of the buffer was searched for a line end.
    searched: usize,
    limit: usize,
    turns: Turns,
}

const READ: usize = 16 * 1024;

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            buffer: BytesMut::new(),
            searched: 0,
            limit,
            turns: Turns::default(),
        }
    }

    /// Returns the next line, or `None` at the end of input. A last line without a line end is ignored.
    ///
    /// # Cancel safety
    /// Cancel safe, except within a line over the limit.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            if let Some(at) = memchr(b'\n', &self.buffer[self.searched..]) {
                let mut line = self.buffer.split_to(self.searched + at + 1);
                self.searched = 0;
                line.truncate(line.len() - 1);
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
                return Ok(Some(Line::Whole(line.freeze())));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > self.limit {
                return self.pass_over().await;
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn fill(&mut self) -> std::io::Result<usize> {
        // A growing line doubles the buffer; a short line reuses space that was split off earlier.
        self.buffer.reserve(READ.max(self.buffer.len()));
        let read = self.reader.read_buf(&mut self.buffer).await?;
        self.turns.spend(read, 0).await;
        Ok(read)
    }

    async fn pass_over(&mut self) -> std::io::Result<Option<Line>> {
        let (mut outline, mut length) = (Outline::default(), 0);
        self.searched = 0;
        loop {
            let end = memchr(b'\n', &self.buffer);
            let part = &self.buffer[..end.unwrap_or(self.buffer.len())];
            outline.push(part);
            length += part.len();
            let got = match end {
                Some(end) => {
                    self.buffer.advance(end + 1);
                    1
                }
                None => {
                    // Release the buffer, because it may be large.
                    self.buffer = BytesMut::new();
                    self.fill().await?
                }
            };
            if end.is_some() || got == 0 {
                let answers = outline.answered().map(str::to_owned);
                return Ok(Some(Line::Over { answers, length }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(input: &[u8], limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(input, limit);
        let mut out = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            out.push(line);
        }
        out
    }

    #[tokio::test]
    async fn lines_are_returned_without_line_endings() {
        let whole = |text: &'static [u8]| Line::Whole(Bytes::from_static(text));
        assert_eq!(
            read(b"a\r\n\nbc\nrest", 10).await,
            [whole(b"a"), whole(b""), whole(b"bc")]
        );
    }

    #[tokio::test]
    async fn line_over_the_limit_is_skipped() {
        let mut input = vec![b'x'; 100_000];
        let long = format!(
            "\n{{\"result\":{{\"id\":3,\"text\":\"{}\"}},\"id\":7}}\r\nok\n",
            "y".repeat(50_000)
        );
        input.extend_from_slice(long.as_bytes());
        let lines = read(&input, 1000).await;
        let over = |answers: Option<&str>, length| Line::Over {
            answers: answers.map(str::to_owned),
            length,
        };
        assert_eq!(
            lines,
            [
                over(None, 100_000),
                over(Some("7"), long.len() - 5),
                Line::Whole(Bytes::from_static(b"ok"))
            ]
        );
    }
}
