//! Byte streams of an instance, and detection of HTTP+SSE.

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use crate::error::Result;
use crate::runtime::Exit;
use crate::server::{Launch, RemoteTransport, ServerSpec};
use crate::transport::pipe::Failed;
use crate::transport::streamable::{Http, LegacySse};

/// The two halves of a pipe.
pub(crate) struct Ends {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Receives requests that did not reach the instance.
    pub(crate) failed: Option<mpsc::Receiver<Failed>>,
}

impl Ends {
    pub(crate) fn new(
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

/// Transport of a server over HTTP.
pub(crate) enum Spoken {
    /// HTTP+SSE of 2024-11-05, over this stream.
    Sse(LegacySse),
    Streamable(Box<Http>),
}

/// Opens the transport of a server over HTTP. Detects it if the spec does not set one.
pub(crate) async fn spoken(server: &ServerSpec, http: Http) -> Result<Spoken> {
    let Launch::Remote(remote) = &server.launch else {
        return Ok(Spoken::Streamable(http.into()));
    };
    match remote.transport {
        RemoteTransport::StreamableHttp => Ok(Spoken::Streamable(http.into())),
        RemoteTransport::Sse => http.legacy_sse().await.map(Spoken::Sse),
        RemoteTransport::Detect => match http.only_sse(server.era).await? {
            Some(opened) => http.legacy_sse_over(opened).map(Spoken::Sse),
            None => Ok(Spoken::Streamable(http.into())),
        },
    }
}

/// Completes when the instance ends, or the stream to it.
pub(crate) fn either(
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
