//! The scripted server over HTTP+SSE of 2024-11-05, in this process.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use mcp_orchestrator_core::server::{Launch, RemoteTransport, ServerSpec};
use parking_lot::{Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Out, Say, Script, Server};
use crate::gateway::server_id;

/// A listening scripted server. Dropping it stops it.
#[derive(Debug)]
pub struct SseUpstream {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Its behaviour.
    pub server: Server,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    server: Server,
    /// The address for messages, as sent to clients.
    named: String,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    opened: usize,
    stream: Option<Out>,
    tasks: JoinSet<()>,
}

impl SseUpstream {
    /// Starts a server on a free port.
    pub async fn start() -> Self {
        Self::naming("/messages?session=1").await
    }

    /// Starts a server that sends this address for messages to its clients.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn naming(named: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let server = Server::new(Script::default());
        let shared = Arc::new(Shared {
            server: server.clone(),
            named: named.to_owned(),
            table: Mutex::default(),
        });
        let router = Router::new()
            .route("/sse", get(open))
            .route("/messages", post(take))
            .with_state(Arc::clone(&shared));
        let mut serving = JoinSet::new();
        serving.spawn(super::http::serve(listener, router));
        Self {
            address,
            server,
            shared,
            _serving: serving,
        }
    }

    /// Returns a spec of this server.
    ///
    /// # Panics
    /// Never: the address is valid.
    pub fn spec(&self, name: &str) -> ServerSpec {
        let url = format!("http://{}/sse", self.address);
        let mut spec = ServerSpec::remote(server_id(name), url.parse().expect("an address"));
        if let Launch::Remote(remote) = &mut spec.launch {
            remote.transport = RemoteTransport::Sse;
        }
        spec
    }

    /// Returns the number of streams opened so far.
    pub fn opened(&self) -> usize {
        self.shared.table().opened
    }

    /// Ends the open stream.
    pub fn end_stream(&self) {
        self.shared.table().stream = None;
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }
}

async fn open(State(shared): State<Arc<Shared>>) -> Response {
    let (out, said) = mpsc::unbounded_channel();
    {
        let mut table = shared.table();
        table.opened += 1;
        table.stream = Some(out);
        // Requests from the previous stream are no longer answered.
        table.tasks.abort_all();
    }
    let endpoint = format!("event: endpoint\ndata: {}\n\n", shared.named);
    let events = stream::unfold(said, |mut said: mpsc::UnboundedReceiver<Say>| async move {
        loop {
            if let Say::Message(message) = said.recv().await? {
                let text = [b"event: message\ndata: ", &message[..], b"\n\n"].concat();
                return Some((text, said));
            }
        }
    });
    let all = stream::iter([endpoint.into_bytes()]).chain(events);
    let mut response = Response::new(Body::from_stream(all.map(Ok::<_, Infallible>)));
    let kind = http::HeaderValue::from_static("text/event-stream");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    response
}

async fn take(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let mut table = shared.table();
    let Some(out) = table.stream.as_ref().map(mpsc::UnboundedSender::downgrade) else {
        return StatusCode::NOT_FOUND;
    };
    let server = shared.server.clone();
    // A call in flight does not keep the stream open.
    let (call, mut said) = mpsc::unbounded_channel();
    let general = call.clone();
    table.tasks.spawn(async move {
        let taking = server.take(body, Vec::new(), call, general);
        let passing = async {
            while let Some(say) = said.recv().await {
                let Some(out) = out.upgrade() else { return };
                let _ = out.send(say);
            }
        };
        tokio::join!(taking, passing);
    });
    StatusCode::ACCEPTED
}
