//! The scripted server over streamable HTTP, in this process.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, StatusCode};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use mcp_orchestrator_core::server::ServerSpec;
use parking_lot::{Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Head, Out, Say, Script, Server};
use crate::gateway::server_id;

/// A listening scripted server. Dropping it stops it.
#[derive(Debug)]
pub struct Upstream {
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
    script: Script,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    sessions: HashMap<String, Session>,
    deleted: usize,
    listens: usize,
    left: usize,
    /// The messages that follow after a cut.
    cut: HashMap<String, mpsc::UnboundedReceiver<Say>>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Session {
    general: Option<Out>,
    requests: u64,
}

impl Upstream {
    /// Starts a server on a free port.
    pub async fn start(script: Script) -> Self {
        Self::start_at("127.0.0.1:0", script).await
    }

    /// Starts a server at this address.
    ///
    /// # Panics
    /// If it cannot listen there.
    pub async fn start_at(address: &str, script: Script) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let server = Server::new(script.clone());
        let shared = Arc::new(Shared {
            server: server.clone(),
            script,
            table: Mutex::default(),
        });
        let router = axum::Router::new()
            .route("/mcp", any(answer))
            .with_state(Arc::clone(&shared));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, router));
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
        let url = format!("http://{}/mcp", self.address);
        ServerSpec::remote(server_id(name), url.parse().expect("an address"))
    }

    /// Returns the number of sessions.
    pub fn sessions(&self) -> usize {
        self.shared.table().sessions.len()
    }

    /// Returns the number of sessions opened so far.
    pub fn opened(&self) -> u64 {
        self.shared.table().next
    }

    /// Returns the number of sessions that their clients ended.
    pub fn deleted(&self) -> usize {
        self.shared.table().deleted
    }

    /// Returns the number of streams for messages outside calls that were opened.
    pub fn listens(&self) -> usize {
        self.shared.table().listens
    }

    /// Returns the number of such streams that are open.
    pub fn listening(&self) -> usize {
        let table = self.shared.table();
        let open = |session: &&Session| {
            session
                .general
                .as_ref()
                .is_some_and(|general| !general.is_closed())
        };
        table.sessions.values().filter(open).count()
    }

    /// Returns the number of requests that their clients dropped before the response was complete.
    pub fn left(&self) -> usize {
        self.shared.table().left
    }

    /// Forgets every session, as after a restart.
    pub fn forget(&self) {
        self.shared.table().sessions.clear();
    }

    /// Breaks every stream for messages outside calls.
    pub fn break_streams(&self) {
        for session in self.shared.table().sessions.values_mut() {
            session.general = None;
        }
    }

    /// Sends a message on every stream for messages outside calls.
    pub fn announce(&self, message: &str) {
        for session in self.shared.table().sessions.values() {
            if let Some(general) = &session.general {
                let _ = general.send(Say::Message(Bytes::copy_from_slice(message.as_bytes())));
            }
        }
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// Returns `true` if the session exists, and counts the use.
    fn uses(&self, id: &str) -> bool {
        let mut table = self.table();
        let Some(session) = table.sessions.get_mut(id) else {
            return false;
        };
        session.requests += 1;
        if self
            .script
            .lose_after
            .is_some_and(|most| session.requests > most)
        {
            table.sessions.remove(id);
            return false;
        }
        true
    }
}

/// Serves until dropped, and then breaks every connection.
pub(super) async fn serve(listener: TcpListener, router: axum::Router) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let _ = stream.set_nodelay(true);
        while connections.try_join_next().is_some() {}
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.await;
        });
    }
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn is_response(say: &Say) -> bool {
    let Say::Message(bytes) = say else {
        return false;
    };
    Head::read(bytes).method.is_empty()
}

/// Counts requests that are dropped before they are complete.
struct DropCounter(Arc<Shared>, bool);

impl Drop for DropCounter {
    fn drop(&mut self) {
        if self.1 {
            self.0.table().left += 1;
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    if shared.script.authorization.is_some()
        && shared.script.authorization != header("authorization")
    {
        return status(StatusCode::UNAUTHORIZED);
    }
    let id = header("mcp-session-id").unwrap_or_default();
    let modern = header("mcp-protocol-version").as_deref() == Some("2026-07-28");
    match parts.method {
        Method::GET if modern => return status(StatusCode::METHOD_NOT_ALLOWED),
        Method::GET => return get(&shared, &id, header("last-event-id")),
        Method::DELETE => return delete(&shared, &id),
        _ => {}
    }
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return status(StatusCode::BAD_REQUEST);
    };
    let head = Head::read(&body);
    let opens = head.method == "initialize" && !modern;
    if !modern && !opens && !shared.uses(&id) {
        return status(StatusCode::NOT_FOUND);
    }
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        })
        .collect();
    let mut response = post(&shared, body, headers, &head).await;
    if opens && shared.script.legacy {
        let mut table = shared.table();
        table.next += 1;
        let id = format!("upstream-{}", table.next);
        let session = Session {
            general: None,
            requests: 0,
        };
        table.sessions.insert(id.clone(), session);
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("mcp-session-id", value);
        }
    }
    response
}

async fn post(
    shared: &Arc<Shared>,
    body: Bytes,
    headers: Vec<(String, String)>,
    head: &Head,
) -> Response {
    let (call, mut said) = mpsc::unbounded_channel();
    let general = everybody(shared);
    let server = shared.server.clone();
    if head.method.is_empty() || !head.has_id {
        server.take(body, headers, call, general).await;
        return status(StatusCode::ACCEPTED);
    }
    let mut left = DropCounter(Arc::clone(shared), true);
    shared
        .table()
        .tasks
        .spawn(async move { server.take(body, headers, call, general).await });
    let Some(first) = said.recv().await else {
        left.1 = false;
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    if let (true, Say::Message(bytes)) = (is_response(&first), &first) {
        left.1 = false;
        let mut response = Response::new(Body::from(bytes.clone()));
        response
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("application/json"));
        return response;
    }
    events(shared, Some(first), said, left)
}

fn delete(shared: &Arc<Shared>, id: &str) -> Response {
    let mut table = shared.table();
    let known = table.sessions.remove(id).is_some();
    table.deleted += usize::from(known);
    status(if known {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    })
}

/// Returns a sender to the streams of all sessions.
fn everybody(shared: &Arc<Shared>) -> Out {
    let (general, mut said) = mpsc::unbounded_channel::<Say>();
    let all = Arc::clone(shared);
    shared.table().tasks.spawn(async move {
        while let Some(say) = said.recv().await {
            for session in all.table().sessions.values() {
                if let Some(general) = &session.general {
                    let _ = general.send(say.clone());
                }
            }
        }
    });
    general
}

fn get(shared: &Arc<Shared>, id: &str, last: Option<String>) -> Response {
    let left = DropCounter(Arc::clone(shared), false);
    if let Some(last) = last {
        let rest = shared.table().cut.remove(&last);
        return match rest {
            Some(rest) => events(shared, None, rest, left),
            None => status(StatusCode::NOT_FOUND),
        };
    }
    let (general, said) = mpsc::unbounded_channel();
    {
        let mut table = shared.table();
        let Some(session) = table.sessions.get_mut(id) else {
            return status(StatusCode::NOT_FOUND);
        };
        session.general = Some(general);
        table.listens += 1;
    }
    events(shared, None, said, left)
}

fn events(
    shared: &Arc<Shared>,
    first: Option<Say>,
    said: mpsc::UnboundedReceiver<Say>,
    left: DropCounter,
) -> Response {
    let from = (Some((said, left)), first, Arc::clone(shared));
    let stream = stream::unfold(from, |(from, first, shared)| async move {
        let (mut said, mut left) = from?;
        let say = match first {
            Some(first) => first,
            None => said.recv().await?,
        };
        let last = is_response(&say);
        let (text, over) = match say {
            Say::Message(bytes) => (
                format!("data: {}\n\n", String::from_utf8_lossy(&bytes)),
                last,
            ),
            Say::Raw(_) => (": raw\n\n".to_owned(), false),
            Say::Cut(id) => (format!("id: {id}\nretry: 1\ndata:\n\n"), true),
        };
        if let Some(id) = text
            .strip_prefix("id: ")
            .and_then(|rest| rest.lines().next())
        {
            left.1 = false;
            shared.table().cut.insert(id.to_owned(), said);
            return Some((Ok::<_, Infallible>(Bytes::from(text)), (None, None, shared)));
        }
        if over {
            left.1 = false;
        }
        let next = (!over).then_some((said, left));
        Some((Ok(Bytes::from(text)), (next, None, shared)))
    });
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(
        "content-type",
        HeaderValue::from_static("text/event-stream"),
    );
    response
}
