//! One HTTP/1.1 connection to a server: a request at a time, its response read as it comes (RFC 9112).
//!
//! Written by hand since every call pays for it: a request is a copy of ready bytes, a response is a status, a media
//! type and the place of its body. There is no task behind a connection; who waits for the answer reads it.

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

/// A body up to this size goes out in one piece with its head.
const ONE_PIECE: usize = 16 << 10;
/// Room for what is read at once; grows with a body that is long.
const ROOM: usize = 8 << 10;
/// The most room for what is read at once.
const ROOM_MAX: usize = 256 << 10;
/// What an answer may bring before its request is written.
const EARLY_MAX: usize = 64 << 10;

/// Why a request got no response, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The system says so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server closed the connection.
    #[error("the server closed the connection before it answered")]
    Closed,
    /// It closed it in the middle of a body.
    #[error("the server closed the connection in the middle of its answer")]
    Cut,
    /// What came is not HTTP/1.1.
    #[error("the answer is not valid HTTP: {0}")]
    Invalid(&'static str),
}

/// A connection on which one request at a time is made.
pub(crate) struct Connection {
    io: BoxedIo,
    input: BytesMut,
    output: Vec<u8>,
    room: usize,
}

impl Connection {
    /// A connection that nothing was sent on yet.
    pub(crate) fn new(io: BoxedIo) -> Self {
        Self {
            io,
            input: BytesMut::new(),
            output: Vec::new(),
            room: ROOM,
        }
    }

    /// Whether the server has neither closed it nor said anything unasked. Takes no system call where nothing came.
    pub(crate) fn is_quiet(&mut self) -> bool {
        if !self.input.is_empty() {
            return false;
        }
        self.make_room();
        let read = pin!(self.io.read_buf(&mut self.input));
        let mut context = Context::from_waker(Waker::noop());
        Future::poll(read, &mut context).is_pending()
    }

    /// Whether something came that no response was read from.
    pub(crate) fn has_unread(&self) -> bool {
        !self.input.is_empty()
    }

    /// Sends a request, whose head lacks only the length of its body, and waits for the head of its response.
    ///
    /// # Errors
    /// Where the connection fails, or what comes back is no HTTP.
    ///
    /// # Cancel safety
    /// Dropped, the connection is of no more use.
    pub(crate) async fn send(&mut self, head: &[&[u8]], body: &[u8]) -> Result<Head, Broken> {
        self.output.clear();
        for part in head {
            self.output.extend_from_slice(part);
        }
        self.output.extend_from_slice(b"content-length: ");
        decimal(&mut self.output, body.len());
        self.output.extend_from_slice(b"\r\n\r\n");
        let rest = if body.len() <= ONE_PIECE {
            self.output.extend_from_slice(body);
            &[]
        } else {
            body
        };
        let written = self.write(rest).await;
        let mut answer = self.head().await;
        match (written, &mut answer) {
            (Ok(()), _) => answer,
            // It answered before it had read all, and reads no more.
            (Err(_), Ok(head)) => {
                head.last = true;
                answer
            }
            (Err(error), Err(_)) => Err(error.into()),
        }
    }

    /// Writes what is there to write, and keeps what comes meanwhile: a server that answers early must not wait for us.
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
                    Poll::Pending if input.len() >= EARLY_MAX => return Poll::Pending,
                    Poll::Pending => {
                        input.reserve(ROOM);
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

    /// The head of the response; interim ones are passed over.
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

    /// The next part of a body; `None` at its end.
    ///
    /// # Errors
    /// Where the connection fails, or the body is not framed as its head said.
    ///
    /// # Cancel safety
    /// Nothing is lost: the next call goes on.
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

    /// A body of this length, in one piece.
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
        // A reader that fills its room has more before it.
        self.room = if read >= room {
            (self.room * 2).min(ROOM_MAX)
        } else {
            ROOM
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

/// Writes a number.
fn decimal(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests;
