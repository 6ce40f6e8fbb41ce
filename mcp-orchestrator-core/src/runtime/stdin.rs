//! An instance's input: its holder writes to it, and its supervisor may close it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::AsyncWrite;

/// The pipe, until it is closed.
#[derive(Debug)]
pub(super) struct Input<W>(Arc<Mutex<Pipe<W>>>);

#[derive(Debug)]
struct Pipe<W> {
    open: Option<W>,
    /// The writer that waits for free space. It is woken when the pipe is closed.
    waiting: Option<Waker>,
}

/// The holder's end. Dropping it or shutting it down closes the pipe and calls `closed`.
pub(super) struct Writer<W, F: Fn()> {
    input: Input<W>,
    /// Called once or twice, after the pipe has been closed.
    closed: F,
}

// === impl Input ===

impl<W> Input<W> {
    pub(super) fn new(pipe: Option<W>) -> Self {
        Self(Arc::new(Mutex::new(Pipe {
            open: pipe,
            waiting: None,
        })))
    }

    /// Closes the pipe; the instance reads end-of-file.
    pub(super) fn close(&self) {
        let (pipe, waiting) = {
            let mut pipe = self.0.lock();
            (pipe.open.take(), pipe.waiting.take())
        };
        drop(pipe);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    pub(super) fn writer<F: Fn()>(&self, closed: F) -> Writer<W, F> {
        Writer {
            input: Self(Arc::clone(&self.0)),
            closed,
        }
    }

    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut W>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>>
    where
        W: Unpin,
    {
        let mut pipe = self.0.lock();
        let Some(open) = pipe.open.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let polled = poll(Pin::new(open), cx);
        if polled.is_pending() {
            pipe.waiting = Some(cx.waker().clone());
        }
        polled
    }
}

// === impl Writer ===

impl<W: AsyncWrite + Unpin, F: Fn() + Unpin> AsyncWrite for Writer<W, F> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.input.poll(cx, |pipe, cx| pipe.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.input
            .poll(cx, |pipe, cx| pipe.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.poll(cx, |pipe, cx| pipe.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.close();
        (self.closed)();
        Poll::Ready(Ok(()))
    }
}

impl<W, F: Fn()> Drop for Writer<W, F> {
    fn drop(&mut self) {
        self.input.close();
        (self.closed)();
    }
}
