//! The body of a response, by its framing: a length, chunks, or the rest of the connection.

use bytes::{Buf as _, Bytes, BytesMut};

use super::Broken;
use crate::limits::{MAX_CHUNK_LINE, MAX_TRAILERS};

/// What of a body is still to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body(Left);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Left {
    /// So many bytes.
    Length(u64),
    /// The line with the next chunk's size.
    Size,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// Trailers; so many bytes of them were read.
    Trailers(usize),
    /// All until the connection ends.
    UntilClose,
    /// Nothing.
    Nothing,
}

/// What the next step of reading brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A part of the body.
    Data(Bytes),
    /// More has to be read first.
    More,
    /// The body is over.
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

    /// Whether all of it was read.
    pub(crate) fn is_done(&self) -> bool {
        self.0 == Left::Nothing
    }

    /// Whether the end of the connection is its end.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.0 == Left::UntilClose
    }

    /// How long it is, where that is known; then nothing is left of it.
    pub(crate) fn take_length(&mut self) -> Option<u64> {
        let Left::Length(length) = self.0 else {
            return None;
        };
        self.0 = Left::Nothing;
        Some(length)
    }

    /// Takes what there is of it from what was read.
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

    /// A line that may go on, unless it is too long already.
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

    /// What a line between chunks means.
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

/// At most so many bytes, and how many are left.
fn take(input: &mut BytesMut, left: u64) -> (Bytes, u64) {
    let there = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
    let data = input.split_to(there).freeze();
    (data, left - there as u64)
}

/// A chunk's size; what may follow it after a semicolon says nothing to us.
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
