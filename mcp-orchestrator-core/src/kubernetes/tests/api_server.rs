//! An API server on loopback that answers each request as a test decides.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::kubernetes::{Access, AccessOptions};

/// A response of the test server.
pub(crate) enum Answer {
    Whole(u16, Value),
    /// The events of a watch, which stays open after them.
    Watch(Vec<Value>),
}

/// A request to the test server.
pub(crate) struct ReceivedRequest {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

/// Starts an API server that answers each request by its path and query.
pub(crate) async fn server(
    answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> (JoinSet<()>, String) {
    serve(move |asked: &ReceivedRequest| answer(&asked.path)).await
}

/// Starts an API server that answers each request.
pub(crate) async fn serve(
    answer: impl Fn(&ReceivedRequest) -> Answer + Send + Sync + 'static,
) -> (JoinSet<()>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (mut serving, answer) = (JoinSet::new(), Arc::new(answer));
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            connections.spawn(async move { converse(stream, &*answer).await });
        }
    });
    (serving, address)
}

/// Serves one connection until it is closed.
async fn converse(stream: TcpStream, answer: &(impl Fn(&ReceivedRequest) -> Answer + Sync)) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(first)) = lines.next_line().await {
        let mut length = 0;
        while let Ok(Some(line)) = lines.next_line().await
            && !line.is_empty()
        {
            let told = line
                .split_once(": ")
                .filter(|(name, _)| *name == "content-length");
            length = told.map_or(length, |(_, told)| told.parse().unwrap());
        }
        let mut body = vec![0; length];
        if lines.get_mut().read_exact(&mut body).await.is_err() {
            return;
        }
        let mut words = first.split(' ').map(str::to_owned);
        let asked = ReceivedRequest {
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            body,
        };
        let said = match answer(&asked) {
            Answer::Whole(status, body) => {
                let body = body.to_string();
                let length = body.len();
                format!(
                    "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
                     content-length: {length}\r\n\r\n{body}"
                )
            }
            Answer::Watch(events) => {
                let begin = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
                events.iter().fold(begin.to_owned(), |said, event| {
                    let line = format!("{event}\n");
                    format!("{said}{:x}\r\n{line}\r\n", line.len())
                })
            }
        };
        if writer.write_all(said.as_bytes()).await.is_err() {
            return;
        }
    }
}

pub(crate) fn list(items: &[Value]) -> Answer {
    let list = json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": items });
    Answer::Whole(200, list)
}

/// Starts an API server in which only one Secret exists: `git`, with the keys `token` and `user`.
#[cfg(feature = "test-util")]
pub(crate) async fn with_one_secret() -> (JoinSet<()>, String) {
    server(|path| {
        if path.starts_with("/api/v1/namespaces/a/secrets/git") {
            let data = json!({ "token": "Y2FuYXJ5LTEK", "user": "Y2FuYXJ5LTI=" });
            let metadata = json!({ "name": "git", "namespace": "a" });
            let secret =
                json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data });
            return Answer::Whole(200, secret);
        }
        Answer::Whole(404, status(404, "NotFound"))
    })
    .await
}

/// The data of the Secret in [`with_one_secret`].
#[cfg(feature = "test-util")]
pub(crate) const SECRET: [(&str, &[u8]); 2] = [("token", b"canary-1\n"), ("user", b"canary-2")];

pub(crate) fn status(code: u16, reason: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": "not now" })
}

/// Returns a kubeconfig for this server without credentials, with the namespace `a`.
pub(crate) fn kubeconfig(address: &str) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{ "name": "a", "cluster": { "server": address } }],
        "users": [{ "name": "a", "user": {} }],
        "contexts": [{ "name": "a", "context": { "cluster": "a", "user": "a", "namespace": "a" } }],
    });
    config.to_string()
}

/// Returns access to this server without credentials.
pub(crate) async fn access(address: &str) -> Access {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig(address)).unwrap();
    let options = AccessOptions {
        kubeconfig: Some(file),
        ..AccessOptions::default()
    };
    Access::open(&options).await.unwrap()
}
