//! The server for programs that have none: its connections at shutdown.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use mcp_orchestrator_gateway::{Shutdown, serve_with};
use mcp_orchestrator_tests::wait::within;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

struct Served {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    client: TcpStream,
    /// Closes when the handler is gone, with all its senders.
    handlers: mpsc::Receiver<()>,
    /// Lets the handler answer.
    answer: Arc<Notify>,
}

/// Starts a server with one request that waits in its handler.
async fn served(grace: Duration) -> Served {
    let (alive, handlers) = mpsc::channel(1);
    let (answer, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (answering, beginning) = (Arc::clone(&answer), Arc::clone(&begun));
    let handler = move || {
        let (alive, answering) = (alive.clone(), Arc::clone(&answering));
        let beginning = Arc::clone(&beginning);
        async move {
            beginning.notify_one();
            answering.notified().await;
            drop(alive);
            "done"
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let when = async move { drop(stopped.await) };
    let router = Router::new().route("/", get(handler));
    let task = tokio::spawn(serve_with(listener, router, Shutdown { when, grace }));
    let mut client = TcpStream::connect(address).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    within("the request", begun.notified()).await;
    Served {
        task,
        stop,
        client,
        handlers,
        answer,
    }
}

async fn rest_of(client: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    let read = within("the connection's end", client.read_to_end(&mut rest)).await;
    // A cut connection may be reset.
    let _ = read;
    String::from_utf8(rest).unwrap()
}

#[tokio::test]
async fn dropping_the_server_closes_its_connections() {
    let mut served = served(Duration::from_hours(1)).await;
    served.task.abort();
    assert_eq!(rest_of(&mut served.client).await, "");
    assert!(
        within("the handler's end", served.handlers.recv())
            .await
            .is_none()
    );
}

#[tokio::test]
async fn connections_are_closed_after_the_grace_period() {
    let mut served = served(Duration::from_millis(1)).await;
    served.stop.send(()).unwrap();
    assert_eq!(rest_of(&mut served.client).await, "");
    within("its end", served.task).await.unwrap();
    assert!(
        within("the handler's end", served.handlers.recv())
            .await
            .is_none()
    );
}

#[tokio::test]
async fn request_is_answered_within_the_grace_period() {
    let mut served = served(Duration::from_hours(1)).await;
    served.stop.send(()).unwrap();
    served.answer.notify_one();
    let answer = rest_of(&mut served.client).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"),
        "{answer}"
    );
    within("its end", served.task).await.unwrap();
}
