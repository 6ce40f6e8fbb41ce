//! Reads a response body by its framing: a content length, chunks, or until the connection closes.

use bytes::{Buf as _, Bytes, BytesMut};

use super::Broken;
use crate::limits::{MAX_CHUNK_LINE, MAX_TRAILERS};

/// The part of a body that is still to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body(Left);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Left {
    /// The remaining bytes of a body with a content length.
    Length(u64),
    /// The line with the size of the next chunk.
    Size,
    /// The remaining bytes of a chunk.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// The trailers, with the number of bytes read so far.
    Trailers(usize),
    /// Everything until the connection closes.
    UntilClose,
    /// Nothing: the body was read to its end.
    Nothing,
}

/// Result of one reading step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A part of the body.
    Data(Bytes),
    /// More input is needed.
    More,
    /// The end of the body.
    End,
}

impl Body {
    pub(super) fn length(length: u64) -> Self {
        Self(if length == 0 {
            Left::Nothing
        } else {
            Left::Length(length)
        })
    }

    pub(super) fn chunked() -> Self {
        Self(Left::Size)
    }

    pub(super) fn until_close() -> Self {
        Self(Left::UntilClose)
    }

    pub(super) fn done() -> Self {
        Self(Left::Nothing)
    }

    /// Returns `true` once the body was read to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.0 == Left::Nothing
    }

    /// Returns `true` if the body ends when the connection closes.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.0 == Left::UntilClose
    }

    /// Returns the length of a body with a content length and marks the body as read. Returns `None` for other
    /// framings.
    pub(crate) fn take_length(&mut self) -> Option<u64> {
        let Left::Length(length) = self.0 else {
            return None;
        };
        self.0 = Left::Nothing;
        Some(length)
    }

    /// Takes the next part of the body from the input.
    pub(super) fn step(&mut self, input: &mut BytesMut) -> Result<Step, Broken> {
        loop {
            match self.0 {
                Left::Nothing => return Ok(Step::End),
                _ if input.is_empty() => return Ok(Step::More),
                Left::UntilClose => return Ok(Step::Data(input.split().freeze())),
                Left::Length(left) => {
                    let (data, left) = take(input, left);
                    self.0 = if left == 0 {
                        Left::Nothing
                    } else {
                        Left::Length(left)
                    };
                    return Ok(Step::Data(data));
                }
                Left::Chunk(left) => {
                    let (data, left) = take(input, left);
                    self.0 = if left == 0 {
                        Left::ChunkEnd
                    } else {
                        Left::Chunk(left)
                    };
                    return Ok(Step::Data(data));
                }
                Left::Size | Left::ChunkEnd | Left::Trailers(_) => {
                    let Some(end) = memchr::memchr(b'\n', input) else {
                        return self.bounded(input.len());
                    };
                    self.bounded(end)?;
                    self.line(input[..end].strip_suffix(b"\r"))?;
                    input.advance(end + 1);
                }
            }
        }
    }

    /// Returns [`Step::More`] for an incomplete line, or an error if the line is already too long.
    fn bounded(&self, length: usize) -> Result<Step, Broken> {
        let too_long = match self.0 {
            Left::Trailers(read) => read + length > MAX_TRAILERS,
            _ => length > MAX_CHUNK_LINE,
        };
        if too_long {
            return Err(Broken::Invalid("a line between its chunks is too long"));
        }
        Ok(Step::More)
    }

    /// Advances the state by one line between chunks.
    fn line(&mut self, line: Option<&[u8]>) -> Result<(), Broken> {
        let line = line.ok_or(Broken::Invalid("a line between its chunks ends wrongly"))?;
        self.0 = match &self.0 {
            Left::Size => match size(line).ok_or(Broken::Invalid("a chunk's size is no number"))? {
                0 => Left::Trailers(0),
                size => Left::Chunk(size),
            },
            Left::ChunkEnd if line.is_empty() => Left::Size,
            Left::ChunkEnd => return Err(Broken::Invalid("a chunk is longer than its size")),
            Left::Trailers(_) if line.is_empty() => Left::Nothing,
            Left::Trailers(read) => Left::Trailers(read + line.len() + 2),
            other => other.clone(),
        };
        Ok(())
    }
}

/// Takes at most `left` bytes. Returns them with the number of bytes that remain.
fn take(input: &mut BytesMut, left: u64) -> (Bytes, u64) {
    let there = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
    let data = input.split_to(there).freeze();
    (data, left - there as u64)
}

/// Parses the size of a chunk. Extensions after a semicolon are ignored.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|b| *b == b';').next()?.trim_ascii_end();
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    digits.iter().try_fold(0_u64, |size, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(size << 4 | u64::from(digit))
    })
}
