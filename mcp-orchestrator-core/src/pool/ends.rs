//! By which bytes an instance is spoken with, and whether that is HTTP+SSE.

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use crate::error::Result;
use crate::runtime::Exit;
use crate::server::{Launch, RemoteTransport, ServerSpec};
use crate::transport::pipe::Failed;
use crate::transport::streamable::Http;

/// The two ends of a pipe.
pub(super) struct Ends {
    pub(super) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(super) writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Requests that did not reach the instance.
    pub(super) failed: Option<mpsc::Receiver<Failed>>,
}

impl Ends {
    pub(super) fn new(
        reader: Box<dyn AsyncRead + Send + Unpin>,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
    ) -> Self {
        Self {
            reader,
            writer,
            failed: None,
        }
    }
}

/// Whether a server speaks HTTP+SSE of 2024-11-05, found out where its spec does not say.
pub(super) async fn speaks_sse(server: &ServerSpec, http: &Http) -> Result<bool> {
    match &server.launch {
        Launch::Program(_) => Ok(false),
        Launch::Remote(remote) => match remote.transport {
            RemoteTransport::StreamableHttp => Ok(false),
            RemoteTransport::Sse => Ok(true),
            RemoteTransport::Detect => http.offers_only_sse().await,
        },
    }
}

/// Ends with the instance, or with the stream by which it is spoken to.
pub(super) fn either(
    exited: Shared<BoxFuture<'static, Exit>>,
    stream: oneshot::Receiver<Exit>,
) -> BoxFuture<'static, Exit> {
    async move {
        tokio::select! {
            exit = exited => exit,
            exit = stream => exit.unwrap_or_default(),
        }
    }
    .boxed()
}
