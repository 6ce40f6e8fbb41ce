//! An HTTP/1.1 connection to a server that serves one request at a time (RFC 9112).
//!
//! Implemented by hand because every call pays for it: a request is a copy of prepared bytes, and a response is reduced
//! to status, media type and body framing. No task serves the connection; the caller that waits for the response reads
//! it.

mod body;
mod coding;
mod head;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};

pub(crate) use self::body::{Body, Step};
pub(crate) use self::coding::{Decoded, Decoder};
pub(crate) use self::head::{Coding, Head, Media};
use crate::limits::MAX_INTERIM_RESPONSES;
use crate::runtime::BoxedIo;

/// Maximum size in bytes of a body that is sent together with its head.
const MAX_ONE_WRITE_LEN: usize = 16 << 10;
/// Initial read buffer in bytes; doubles while reads fill it.
const READ_BUFFER: usize = 8 << 10;
/// Maximum read buffer in bytes.
const MAX_READ_BUFFER: usize = 256 << 10;
/// Maximum number of bytes read of an early response while the request is still being written.
const MAX_EARLY_RESPONSE_LEN: usize = 64 << 10;

/// Why a request got no response, or only part of one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// An I/O error of the connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server closed the connection before it answered.
    #[error("the server closed the connection before it answered")]
    Closed,
    /// The server closed the connection in the middle of a body.
    #[error("the server closed the connection in the middle of its answer")]
    Cut,
    /// The response is not valid HTTP/1.1.
    #[error("the answer is not valid HTTP: {0}")]
    Invalid(&'static str),
}

/// A connection that serves one request at a time.
pub(crate) struct Connection {
    io: BoxedIo,
    input: BytesMut,
    output: Vec<u8>,
    room: usize,
}

impl Connection {
    /// Wraps a connection on which nothing was sent yet.
    pub(crate) fn new(io: BoxedIo) -> Self {
        Self {
            io,
            input: BytesMut::new(),
            output: Vec::new(),
            room: READ_BUFFER,
        }
    }

    /// Returns `true` if the server neither closed the connection nor sent data without a request. Costs no system call
    /// while nothing arrived.
    pub(crate) fn is_quiet(&mut self) -> bool {
        if !self.input.is_empty() {
            return false;
        }
        self.make_room();
        let read = pin!(self.io.read_buf(&mut self.input));
        let mut context = Context::from_waker(Waker::noop());
        Future::poll(read, &mut context).is_pending()
    }

    /// Returns `true` if there is input that no response was read from.
    pub(crate) fn has_unread(&self) -> bool {
        !self.input.is_empty()
    }

    /// Sends a request and waits for the head of its response. `head` is complete except for the content length, which
    /// is added here.
    ///
    /// # Errors
    /// [`Broken`] if the connection fails or the response is not valid HTTP.
    ///
    /// # Cancel safety
    /// Not cancel safe: if the future is dropped, the connection must not be used again.
    pub(crate) async fn send(&mut self, head: &[&[u8]], body: &[u8]) -> Result<Head, Broken> {
        self.output.clear();
        for part in head {
            self.output.extend_from_slice(part);
        }
        self.output.extend_from_slice(b"content-length: ");
        let mut length = itoa::Buffer::new();
        self.output
            .extend_from_slice(length.format(body.len()).as_bytes());
        self.output.extend_from_slice(b"\r\n\r\n");
        let rest = if body.len() <= MAX_ONE_WRITE_LEN {
            self.output.extend_from_slice(body);
            &[]
        } else {
            body
        };
        let written = self.write(rest).await;
        let mut answer = self.head().await;
        match (written, &mut answer) {
            (Ok(()), _) => answer,
            // The server answered before it had read the whole request, and stopped reading.
            (Err(_), Ok(head)) => {
                head.last = true;
                answer
            }
            (Err(error), Err(_)) => Err(error.into()),
        }
    }

    /// Writes the request and buffers incoming data meanwhile, because a server that answers early may not read on
    /// until its response is read.
    async fn write(&mut self, rest: &[u8]) -> io::Result<()> {
        let mut at = 0;
        poll_fn(|cx| {
            let Self {
                io, input, output, ..
            } = self;
            let whole = output.len() + rest.len();
            while at < whole {
                let part = if at < output.len() {
                    &output[at..]
                } else {
                    &rest[at - output.len()..]
                };
                match Pin::new(&mut *io).poll_write(cx, part) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(n)) => at += n,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending if input.len() >= MAX_EARLY_RESPONSE_LEN => return Poll::Pending,
                    Poll::Pending => {
                        input.reserve(READ_BUFFER);
                        match Future::poll(pin!(io.read_buf(input)), cx) {
                            Poll::Ready(Ok(0)) => {
                                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                            }
                            Poll::Ready(Ok(_)) => {}
                            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                            Poll::Pending => return Poll::Pending,
                        }
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        self.io.flush().await
    }

    /// Reads the head of the response and skips interim responses.
    async fn head(&mut self) -> Result<Head, Broken> {
        for _ in 0..MAX_INTERIM_RESPONSES {
            let head = loop {
                if let Some(head) = Head::parse(&mut self.input)? {
                    break head;
                }
                if self.fill().await? == 0 {
                    return Err(Broken::Closed);
                }
            };
            if !head.status.is_informational() {
                return Ok(head);
            }
        }
        Err(Broken::Invalid("too many interim responses"))
    }

    /// Reads the next part of a body. Returns `None` at its end.
    ///
    /// # Errors
    /// [`Broken`] if the connection fails or the body violates its framing.
    ///
    /// # Cancel safety
    /// Cancel safe: no data is lost, and the next call continues.
    pub(crate) async fn part(&mut self, body: &mut Body) -> Result<Option<Bytes>, Broken> {
        loop {
            match body.step(&mut self.input)? {
                Step::Data(data) => return Ok(Some(data)),
                Step::End => return Ok(None),
                Step::More => {
                    if self.fill().await? == 0 {
                        return if body.ends_with_connection() {
                            Ok(None)
                        } else {
                            Err(Broken::Cut)
                        };
                    }
                }
            }
        }
    }

    /// Reads a body of this length in one piece.
    ///
    /// # Errors
    /// As for [`part`](Self::part).
    pub(crate) async fn all(&mut self, length: usize) -> Result<Bytes, Broken> {
        while self.input.len() < length {
            self.input.reserve(length - self.input.len());
            if self.io.read_buf(&mut self.input).await? == 0 {
                return Err(Broken::Cut);
            }
        }
        Ok(self.input.split_to(length).freeze())
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.make_room();
        let room = self.input.capacity() - self.input.len();
        let read = self.io.read_buf(&mut self.input).await?;
        // A read that fills the buffer suggests that more is waiting.
        self.room = if read >= room {
            (self.room * 2).min(MAX_READ_BUFFER)
        } else {
            READ_BUFFER
        };
        Ok(read)
    }

    fn make_room(&mut self) {
        if self.input.capacity() - self.input.len() < self.room / 2 {
            self.input.reserve(self.room);
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
