//! The two streams of an attached program, together with the exclusive right to use them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use crate::runtime::Endpoint;

/// One of the two streams. The right is released when both are dropped.
struct Exclusive<T> {
    io: T,
    _holder: Arc<OwnedSemaphorePermit>,
}

/// Wraps the streams into an endpoint that releases the right when it is dropped.
pub(crate) fn exclusive<R, W>(reader: R, writer: W, holder: OwnedSemaphorePermit) -> Endpoint
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let holder = Arc::new(holder);
    Endpoint::Stream {
        reader: Box::new(Exclusive {
            io: reader,
            _holder: Arc::clone(&holder),
        }),
        writer: Box::new(Exclusive {
            io: writer,
            _holder: holder,
        }),
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Exclusive<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Exclusive<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
