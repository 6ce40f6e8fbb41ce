//! A child's standard input, which its holder writes and its supervisor may close.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::AsyncWrite;
use tokio::process::ChildStdin;

/// The pipe, as long as nobody has closed it.
#[derive(Clone, Debug)]
pub(super) struct Stdin(Arc<Mutex<Pipe>>);

#[derive(Debug)]
struct Pipe {
    open: Option<ChildStdin>,
    /// Who waits for room in it, and must hear that it was closed.
    waiting: Option<Waker>,
}

/// The holder's end. Dropping it, or shutting it down, closes the pipe and says so.
pub(super) struct Writer<F: Fn()> {
    stdin: Stdin,
    /// Is called once or twice, with the pipe closed.
    closed: F,
}

// === impl Stdin ===

impl Stdin {
    pub(super) fn new(pipe: Option<ChildStdin>) -> Self {
        Self(Arc::new(Mutex::new(Pipe {
            open: pipe,
            waiting: None,
        })))
    }

    /// The child reads the end of its input.
    pub(super) fn close(&self) {
        let (pipe, waiting) = {
            let mut pipe = self.lock();
            (pipe.open.take(), pipe.waiting.take())
        };
        drop(pipe);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    pub(super) fn writer<F: Fn()>(&self, closed: F) -> Writer<F> {
        Writer {
            stdin: self.clone(),
            closed,
        }
    }

    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut ChildStdin>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut pipe = self.lock();
        let Some(open) = pipe.open.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let polled = poll(Pin::new(open), cx);
        if polled.is_pending() {
            pipe.waiting = Some(cx.waker().clone());
        }
        polled
    }

    fn lock(&self) -> MutexGuard<'_, Pipe> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Writer ===

impl<F: Fn() + Unpin> AsyncWrite for Writer<F> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stdin.poll(cx, |pipe, cx| pipe.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stdin
            .poll(cx, |pipe, cx| pipe.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin.poll(cx, |pipe, cx| pipe.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin.close();
        (self.closed)();
        Poll::Ready(Ok(()))
    }
}

impl<F: Fn()> Drop for Writer<F> {
    fn drop(&mut self) {
        self.stdin.close();
        (self.closed)();
    }
}
