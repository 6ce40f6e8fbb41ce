//! The two ends of an attached program's streams, with the right to be the one who has them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, SimplexStream, WriteHalf};

use super::access::Access;
use super::errors::Action;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Endpoint;

/// One end; the right ends with both of them.
struct End<T> {
    io: T,
    _holder: Arc<()>,
}

/// The streams as an endpoint; dropping it gives the right back.
pub(super) fn held<R, W>(reader: R, writer: W, holder: Arc<()>) -> Endpoint
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    Endpoint::Stream {
        reader: Box::new(End {
            io: reader,
            _holder: Arc::clone(&holder),
        }),
        writer: Box::new(End {
            io: writer,
            _holder: holder,
        }),
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for End<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for End<T> {
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

/// What a pod's program writes on its standard output; ends the attachment when it is dropped.
pub(super) struct Output {
    io: ReadHalf<SimplexStream>,
    _attached: AttachedProcess,
}

/// The streams of a pod's program.
pub(super) async fn attach(
    access: &Access,
    pod: &str,
    container: &str,
) -> Result<(Output, WriteHalf<SimplexStream>)> {
    let pods: Api<Pod> = Api::namespaced(access.client().clone(), access.namespace());
    let params = AttachParams::default()
        .container(container)
        .stdin(true)
        .stdout(true)
        .stderr(false);
    let action = || Action::new("create", "pods/attach", access.namespace()).on(pod);
    let mut attached = pods
        .attach(pod, &params)
        .await
        .map_err(|error| action().error(error))?;
    match (attached.stdout(), attached.stdin()) {
        (Some(io), Some(writer)) => {
            let reader = Output {
                io,
                _attached: attached,
            };
            Ok((reader, writer))
        }
        _ => Err(Error::new(
            ErrorKind::Internal,
            "an attached pod has no streams",
        )),
    }
}

impl AsyncRead for Output {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}
