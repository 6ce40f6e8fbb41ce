//! A listener with TLS: handshakes use the current files, and open connections survive a change.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::routing::get;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as ClientStream;

use super::super::*;
use super::write;
use crate::{Routes, Shutdown, serve_with};

/// The time limit of each step.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// Performs a handshake that trusts only this certificate.
async fn agreed(address: SocketAddr, trusted: &[u8]) -> io::Result<ClientStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusted.to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("gateway.example").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// Sends a request and returns the response; the connection stays open.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    let request = b"GET /hello HTTP/1.1\r\nhost: gateway.example\r\n\r\n";
    let asked = async {
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"hi there") {
            if stream.read_buf(&mut answer).await.unwrap_or_default() == 0 {
                break;
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(STEP_TIMEOUT, asked).await.unwrap()
}

fn shown(stream: &ClientStream<TcpStream>) -> &[u8] {
    &stream.get_ref().1.peer_certificates().unwrap()[0]
}

/// Serves with the certificate and the key in this folder. Dropping the set ends it.
async fn served(folder: &Path) -> (SocketAddr, JoinSet<()>) {
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let tls = Tls::reading(certificate, key, Duration::ZERO).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Routes::from(Router::new().route("/hello", get(async || "hi there"))).by_tls(tls);
    let shutdown = Shutdown {
        when: std::future::pending(),
        grace: Duration::ZERO,
    };
    let mut serving = JoinSet::new();
    serving.spawn(serve_with(listener, routes, shutdown));
    (address, serving)
}

#[tokio::test]
async fn new_certificate_applies_to_new_connections_only() {
    let folder = tempfile::tempdir().unwrap();
    let first = write(folder.path(), "gateway.example");
    let (address, _serving) = served(folder.path()).await;
    let mut open = agreed(address, &first).await.unwrap();
    assert!(ask(&mut open).await.starts_with("HTTP/1.1 200"));
    let second = write(folder.path(), "gateway.example");
    let mut new = agreed(address, &second).await.unwrap();
    assert_eq!(shown(&new), second);
    assert!(ask(&mut new).await.starts_with("HTTP/1.1 200"));
    assert!(agreed(address, &first).await.is_err());
    assert!(ask(&mut open).await.starts_with("HTTP/1.1 200"));
    assert_eq!(shown(&open), first);
    // A client without TLS gets no response.
    let mut plain = TcpStream::connect(address).await.unwrap();
    assert!(!ask(&mut plain).await.contains("hi there"));
}

/// Returns the number of threads of this process.
#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn certificate_that_became_a_silent_pipe_does_not_stop_handshakes() {
    let folder = tempfile::tempdir().unwrap();
    let first = write(folder.path(), "gateway.example");
    let key = folder.path().join("tls.key");
    let (address, _serving) = served(folder.path()).await;
    std::fs::remove_file(&key).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&key).status();
    assert!(made.unwrap().success());
    let mut open = agreed(address, &first).await.unwrap();
    let before = threads();
    for _ in 0..20 {
        let mut next = agreed(address, &first).await.unwrap();
        assert!(ask(&mut next).await.starts_with("HTTP/1.1 200"));
    }
    assert!(ask(&mut open).await.starts_with("HTTP/1.1 200"));
    // Tests beside this one start threads as well.
    assert!(threads() < before + 15, "{before} -> {}", threads());
}
