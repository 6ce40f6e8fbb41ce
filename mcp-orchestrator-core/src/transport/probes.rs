//! Entry points for fuzzing the parsers of server output. Each accepts any bytes, in pieces of any size.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http1::{Broken, Coding, Connection, Decoded, Decoder, Media};
use super::lines::{Line, Lines};
use super::sse::Parser;
use crate::limits::MAX_PROBED_BODY;

/// A response: its status, whether it is an event stream, and its body.
pub(crate) type Response = (u16, bool, Vec<u8>);

/// An event: its type, id and data.
pub(crate) type Event = (String, Option<String>, Bytes);

/// Yields bytes in pieces, then the end of input.
struct Script<'a> {
    left: &'a [u8],
    piece: usize,
}

impl AsyncRead for Script<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = self.piece.min(self.left.len()).min(buffer.remaining());
        let (now, later) = self.left.split_at(size);
        buffer.put_slice(now);
        self.left = later;
        Poll::Ready(Ok(()))
    }
}

/// Like [`Script`], with owned bytes; accepts any writes.
struct Peer {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let mut script = Script {
            left: &self.bytes[self.at..],
            piece: self.piece,
        };
        let polled = Pin::new(&mut script).poll_read(context, buffer);
        self.at += buffer.filled().len() - before;
        polled
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Reads one HTTP/1.1 response. Returns `None` if it is rejected.
pub(crate) fn response(input: &[u8], piece: usize) -> Option<Response> {
    let peer = Peer {
        bytes: input.to_vec(),
        at: 0,
        piece: piece.max(1),
    };
    let read = async {
        let mut connection = Connection::new(Box::new(peer));
        let head = connection.send(&[b"GET / HTTP/1.1\r\n"], b"").await?;
        let (mut body, mut all) = (head.body.clone(), Vec::new());
        let mut decoder = Decoder::new(head.coding);
        if head.coding == Coding::Other {
            return Ok::<_, Broken>((head.status.as_u16(), false, Vec::new()));
        }
        loop {
            let part = connection.part(&mut body).await?;
            let last = part.is_none();
            match &mut decoder {
                None => all.extend_from_slice(&part.unwrap_or_default()),
                Some(decoder) => {
                    decoder.push(part);
                    while let Decoded::Data(data) = decoder.next()? {
                        all.extend_from_slice(&data);
                        if all.len() > MAX_PROBED_BODY {
                            return Err(Broken::Cut);
                        }
                    }
                }
            }
            if last {
                break;
            }
        }
        Ok((head.status.as_u16(), head.media == Media::Events, all))
    };
    read.now_or_never().expect("the peer never waits").ok()
}

/// Reads events. Yields `None` for an event over the limit.
pub(crate) fn events(input: &[u8], piece: usize, limit: usize) -> Vec<Option<Event>> {
    let mut parser = Parser::new(limit);
    let mut seen = Vec::new();
    for part in input.chunks(piece.max(1)) {
        parser.push(Bytes::copy_from_slice(part));
        loop {
            match parser.next() {
                Ok(Some(event)) => seen.push(Some((event.name, event.id, event.data))),
                Ok(None) => break,
                Err(_) => seen.push(None),
            }
        }
    }
    seen
}

/// Reads lines. Yields `None` for a line over the limit.
pub(crate) fn lines(input: &[u8], piece: usize, limit: usize) -> Vec<Option<Bytes>> {
    let script = Script {
        left: input,
        piece: piece.max(1),
    };
    let read = async {
        let (mut lines, mut seen) = (Lines::new(script, limit), Vec::new());
        while let Ok(Some(line)) = lines.next().await {
            seen.push(match line {
                Line::Whole(line) => Some(line),
                Line::Over { .. } => None,
            });
        }
        seen
    };
    // Long input gives other tasks a turn.
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime without drivers").block_on(read)
}
