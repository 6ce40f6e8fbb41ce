//! The two streams of a program, together with the exclusive right to use them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Endpoint;

impl Endpoint {
    /// Creates an [`Endpoint::Stream`] that keeps `holder` until both streams are dropped.
    ///
    /// A backend thereby gives a stream a single holder: `holder` is what a start must acquire, such as a
    /// [`tokio::sync::OwnedSemaphorePermit`], and a start that cannot acquire it fails with
    /// [`Conflict`](crate::ErrorKind::Conflict).
    pub fn exclusive<R, W, H>(reader: R, writer: W, holder: H) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
        H: Send + Sync + 'static,
    {
        let holder = Arc::new(holder);
        Self::Stream {
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
}

/// One of the two streams. The right is released when both are dropped.
struct Exclusive<T, H> {
    io: T,
    _holder: Arc<H>,
}

impl<T: AsyncRead + Unpin, H> AsyncRead for Exclusive<T, H> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin, H> AsyncWrite for Exclusive<T, H> {
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

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    #[test]
    fn right_is_released_when_both_streams_are_dropped() {
        let right = Arc::new(Semaphore::new(1));
        let holder = Arc::clone(&right).try_acquire_owned().unwrap();
        let endpoint = Endpoint::exclusive(tokio::io::empty(), tokio::io::sink(), holder);
        let Endpoint::Stream { reader, writer } = endpoint else {
            panic!("it is a stream");
        };
        drop(reader);
        assert_eq!(right.available_permits(), 0);
        drop(writer);
        assert_eq!(right.available_permits(), 1);
    }
}
