//! Answers while a gateway cannot be built yet: it is alive but not ready.

use std::future::Future;
use std::os::fd::AsFd as _;
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use tokio::net::TcpListener;

use crate::health::{Readiness, health_router};
use crate::{Shutdown, serve_with};

/// The delay before anything is answered. Most gateways are built by then and serve clients that came early.
const ANSWER_AFTER: Duration = Duration::from_secs(2);

/// Runs `work`. If it takes long, answers `/healthz`, `/readyz` and 503 on these listeners meanwhile.
pub(crate) async fn meanwhile<T>(
    work: impl Future<Output = T>,
    listener: &TcpListener,
    metrics: Option<&TcpListener>,
) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(ANSWER_AFTER, &mut work).await {
        return done;
    }
    let serving = async {
        tokio::join!(serve(Some(listener)), serve(metrics));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        done = &mut work => done,
        () = serving => unreachable!("it never ends"),
    }
}

async fn serve(listener: Option<&TcpListener>) {
    let Some(listener) = listener else { return };
    let twin = listener.as_fd().try_clone_to_owned();
    let twin = twin.and_then(|twin| TcpListener::from_std(twin.into()));
    match twin {
        Ok(twin) => {
            let shutdown = Shutdown {
                when: std::future::pending(),
                grace: Duration::ZERO,
            };
            serve_with(twin, routes(), shutdown).await;
        }
        Err(error) => tracing::warn!(%error, "cannot answer before the gateway has started"),
    }
}

fn routes() -> Router {
    let starting = || Err("the gateway starts; see its log for what it waits for".to_owned());
    health_router(Readiness::new(starting)).fallback(|| async {
        let retry = [("retry-after", "2")];
        (
            StatusCode::SERVICE_UNAVAILABLE,
            retry,
            "the gateway starts\n",
        )
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn asked(listener: &TcpListener, path: &str) -> String {
        let mut stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn gateway_waiting_at_startup_is_alive_but_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let metrics = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (done, work) = tokio::sync::oneshot::channel::<()>();
        let asking = async {
            for listener in [&listener, &metrics] {
                let live = asked(listener, "/healthz").await;
                assert!(live.starts_with("HTTP/1.1 200"), "{live}");
                for path in ["/readyz", "/mcp"] {
                    let waits = asked(listener, path).await;
                    assert!(waits.starts_with("HTTP/1.1 503"), "{waits}");
                }
            }
            done.send(()).unwrap();
        };
        let (worked, ()) = tokio::join!(meanwhile(work, &listener, Some(&metrics)), asking);
        worked.unwrap();
    }
}
