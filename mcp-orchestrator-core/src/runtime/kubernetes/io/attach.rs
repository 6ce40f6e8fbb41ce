//! The standard streams of a program in a pod, through the attach subresource.
//!
//! Measured behaviour: every attached client gets all output. With `stdinOnce: false` the program keeps running when
//! its client disconnects. The attach ends with the container; only the container's status shows how it ended.
//! Standard error is not attached: it goes to the pod's log.

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

use crate::error::Result;
use crate::kubernetes::Access;
use crate::kubernetes::client::errors::Action;
use crate::kubernetes::client::rejection::causes;

/// Buffer size of each direction, in bytes.
const BUFFER_LEN: usize = 64 << 10;

/// The output of the program. End-of-file means that the program ended. If the connection was lost while the program
/// may still run, reading fails with the reason. Dropping the reader ends the attach and leaves the program alone.
pub struct AttachReader {
    output: ReadHalf<SimplexStream>,
    /// Resolves when the connection ends, with the reason if it was lost.
    cut: oneshot::Receiver<Option<String>>,
    why: Option<String>,
    /// The task that drives the connection; it is aborted when the reader is dropped.
    _carrier: JoinSet<()>,
}

/// The input of the program. Writing fails once the attach has ended.
pub struct AttachWriter {
    input: WriteHalf<SimplexStream>,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Attaches to a running container.
///
/// # Errors
/// With the pod and the cluster's message; [`Config`](crate::ErrorKind::Config) if the right is missing.
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
        .max_stdin_buf_size(BUFFER_LEN)
        .max_stdout_buf_size(BUFFER_LEN);
    let attached = access.send(action, || pods.attach(pod, &params)).await;
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
        // The receiver is dropped together with the reader, which also aborts this task.
        let _ = sender.send(wait_for_end(attached).await);
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

/// Waits for the end of the attach. Returns why the connection was lost, or `None` if it ended with the program.
async fn wait_for_end(mut attached: AttachedProcess) -> Option<String> {
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
            // A broken connection does not close the buffer, so the carrier task signals the end. Output may still
            // have arrived between the two polls, so the buffer is read once more.
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
                "the attach has ended",
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
