//! The standard streams of a program in a pod, by the attach subresource.
//!
//! What was measured of it: every attached client gets all output; with `stdinOnce: false` the program goes on when its
//! client leaves; the end of the container ends the attach; how it ended stands in the container's status alone. Standard
//! error is not attached: it is in the pod's log.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, SimplexStream, WriteHalf};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::access::Access;
use super::errors::{Action, causes};
use crate::error::Result;

/// Bytes that wait in one direction.
const WAITING: usize = 64 << 10;

/// What the program says. It ends with the program; where the connection was cut while the program may go on, reading
/// fails and says so. Dropping it ends the attach, and leaves the program alone.
pub struct AttachReader {
    output: ReadHalf<SimplexStream>,
    /// Comes once the connection is over: why it was cut, where it was.
    cut: oneshot::Receiver<Option<String>>,
    why: Option<String>,
    /// Ends the connection with this.
    _carrier: JoinSet<()>,
}

/// What the program is told. Writing fails once the attach is over.
pub struct AttachWriter {
    input: WriteHalf<SimplexStream>,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Attaches to a container that runs.
///
/// # Errors
/// With the pod and what the cluster says; [`Config`](crate::ErrorKind::Config) where the right is missing.
///
/// # Cancel safety
/// Dropping the future ends the attach.
pub async fn attach(
    access: &Access,
    pod: &str,
    container: &str,
) -> Result<(AttachReader, AttachWriter)> {
    let action = Action::new("create", "pods/attach", access.namespace()).on(pod);
    let pods: Api<Pod> = Api::namespaced(access.client().clone(), access.namespace());
    let params = AttachParams::default()
        .container(container)
        .stdin(true)
        .stdout(true)
        .stderr(false)
        .max_stdin_buf_size(WAITING)
        .max_stdout_buf_size(WAITING);
    let attached = access.ask(action, || pods.attach(pod, &params)).await;
    let mut attached = attached.map_err(|error| action.error(error))?;
    let (Some(output), Some(input)) = (attached.stdout(), attached.stdin()) else {
        let text = format!("{action} gave no streams");
        return Err(crate::Error::new(crate::ErrorKind::Internal, text));
    };
    let (sender, cut) = oneshot::channel();
    let end = CancellationToken::new();
    let ended = Box::pin(end.clone().cancelled_owned());
    let mut carrier = JoinSet::new();
    carrier.spawn(async move {
        let _end = end.drop_guard();
        // Who listens no more has dropped the reader, and this with it.
        let _ = sender.send(over(attached).await);
    });
    let reader = AttachReader {
        output,
        cut,
        why: None,
        _carrier: carrier,
    };
    let writer = AttachWriter { input, over: ended };
    Ok((reader, writer))
}

/// Waits for the end of the attach; says why it was cut, where it did not end with the program.
async fn over(mut attached: AttachedProcess) -> Option<String> {
    let status = attached.take_status();
    let joined = attached.join().await;
    let status = status.and_then(|status| status.now_or_never().flatten());
    match (status, joined) {
        (Some(status), _) if status.status.as_deref() == Some("Success") => None,
        (Some(status), _) => Some(status.message.or(status.reason).unwrap_or_default()),
        (None, Err(error)) => Some(causes(&error)),
        (None, Ok(())) => Some("the connection was closed".to_owned()),
    }
}

impl AsyncRead for AttachReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        loop {
            let read = Pin::new(&mut this.output).poll_read(cx, buffer)?;
            if read.is_ready() && (buffer.filled().len() > before || buffer.remaining() == 0) {
                return Poll::Ready(Ok(()));
            }
            // Where the connection breaks, nobody closes the buffer: the end is the carrier's, and what came last may
            // have come between two looks.
            if this.cut.is_terminated() {
                return Poll::Ready(this.why.take().map_or(Ok(()), |why| {
                    let text = format!("the attach was cut: {why}");
                    Err(io::Error::new(io::ErrorKind::ConnectionAborted, text))
                }));
            }
            this.why = ready!(Pin::new(&mut this.cut).poll(cx)).ok().flatten();
        }
    }
}

impl AttachWriter {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.over.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the attach is over",
            ));
        }
        Ok(())
    }
}

impl AsyncWrite for AttachWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.input).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}

impl fmt::Debug for AttachReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttachReader")
    }
}

impl fmt::Debug for AttachWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttachWriter")
    }
}
