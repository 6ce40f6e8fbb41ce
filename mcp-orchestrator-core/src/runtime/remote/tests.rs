use std::collections::BTreeMap;
use std::path::PathBuf;

use futures_util::future::join;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::credential::{Generation, Owner, Revision};
use crate::id::{ServerId, SlotName};
use crate::outbound::ConnectorOptions;
use crate::runtime::{Exit, Phase, Scope, SpecDigest};
use crate::server::{CredentialSlot, Injection, SlotForm};
use crate::value::Text;

fn server(url: &str) -> ServerSpec {
    let mut server = ServerSpec::remote(ServerId::new("git").unwrap(), url.parse().unwrap());
    server.slots.push(CredentialSlot {
        name: SlotName::new("token").unwrap(),
        description: None,
        required: true,
        inject: Injection::Header {
            name: "Authorization".into(),
            prefix: "Bearer ".into(),
        },
        form: SlotForm::default(),
    });
    server
}

fn credential(token: &str, generation: u64) -> Credential {
    let token = (SlotName::new("token").unwrap(), token.to_owned().into());
    Credential {
        values: BTreeMap::from([token]),
        generation: Generation(generation),
        ..Credential::none()
    }
}

fn launch(server: ServerSpec) -> LaunchSpec {
    LaunchSpec {
        server: Arc::new(server),
        credential: Arc::new(credential("canary", 1)),
    }
}

fn key() -> InstanceKey {
    let server = ServerId::new("git").unwrap();
    let spec = SpecDigest::from_text("00");
    InstanceKey::new(
        server,
        Owner::Organization,
        Revision::none(),
        Scope::Shared,
        spec,
    )
}

/// A backend that also trusts this certificate authority.
fn trusting(authority: PathBuf) -> RemoteBackend {
    RemoteBackend::new(Connector::new(ConnectorOptions {
        authorities: Some(authority),
        ..ConnectorOptions::default()
    }))
}

async fn start(backend: &RemoteBackend, server: ServerSpec) -> Result<Instance> {
    let launch = launch(server);
    backend.start(&key(), &launch, &Progress::unheard()).await
}

fn parts(instance: &Instance) -> (Arc<dyn Connect>, crate::runtime::HeaderCell) {
    match &instance.endpoint {
        Endpoint::Http {
            connect, headers, ..
        } => (connect.clone(), headers.clone()),
        Endpoint::Stream { .. } => panic!("a remote server is no pipe"),
    }
}

/// A TLS server with a self-signed certificate for `localhost`, and the file that makes clients trust it.
fn tls_server(dir: &std::path::Path) -> (TlsAcceptor, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let authority = dir.join("ca.pem");
    std::fs::write(&authority, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    (TlsAcceptor::from(Arc::new(config)), authority)
}

#[tokio::test]
async fn https_connects_to_a_trusted_server() {
    let dir = tempfile::tempdir().unwrap();
    let (acceptor, authority) = tls_server(dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let backend = trusting(authority);
    let url = format!("https://localhost:{port}/mcp");
    let (connect, _) = parts(&start(&backend, server(&url)).await.unwrap());
    let served = async {
        let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await;
        let stream = stream.as_mut().unwrap();
        let mut heard = [0; 4];
        stream.read_exact(&mut heard).await.unwrap();
        (
            heard,
            stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec),
        )
    };
    let asked = async {
        let mut stream = connect.connect().await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let ((heard, protocol), _) = join(served, asked).await;
    assert_eq!(&heard, b"ping");
    assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
    assert!(
        rustls::crypto::CryptoProvider::get_default().is_none(),
        "nothing global is installed"
    );
}

#[cfg(feature = "test-util")]
#[tokio::test]
async fn remote_connections_uphold_the_connector_contract() {
    use crate::testing::connect::{HttpPeer, answer, suite};
    let dir = tempfile::tempdir().unwrap();
    let (acceptor, authority) = tls_server(dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer(stream).await;
                }
            });
        }
    });
    let peer = HttpPeer::start().await;
    let backend = trusting(authority);
    for url in [
        format!("https://localhost:{port}/mcp"),
        format!("http://{}/mcp", peer.address()),
    ] {
        let (connect, _) = parts(&start(&backend, server(&url)).await.unwrap());
        suite(&*connect).await;
        backend.remove(&key(), Duration::ZERO).await.unwrap();
    }
}

#[cfg(feature = "test-util")]
#[tokio::test]
async fn remote_backend_upholds_the_backend_contract() {
    use crate::testing::connect::HttpPeer;
    use crate::testing::runtime::{Script, suite};
    let peer = HttpPeer::start().await;
    let url = format!("http://{}/mcp", peer.address());
    let fixture = |script| matches!(script, Script::Http).then(|| server(&url));
    suite(&RemoteBackend::default(), &fixture).await;
}

#[tokio::test]
async fn untrusted_server_is_rejected_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (acceptor, _) = tls_server(dir.path());
    let (_, other) = tls_server(dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let backend = trusting(other);
    let url = format!("https://localhost:{port}/mcp");
    let (connect, _) = parts(&start(&backend, server(&url)).await.unwrap());
    let served = async { acceptor.accept(listener.accept().await.unwrap().0).await };
    let (_, error) = join(served, connect.connect()).await;
    let error = error.err().unwrap().to_string();
    assert!(
        error.contains("localhost") && error.contains("certificate"),
        "{error}"
    );
}

#[tokio::test]
async fn headers_combine_the_server_and_its_credential() {
    let backend = RemoteBackend::default();
    let mut spec = server("http://127.0.0.1:1/mcp");
    let Launch::Remote(remote) = &mut spec.launch else {
        panic!("it is remote");
    };
    remote.headers = BTreeMap::from([
        ("X-Team".to_owned(), Text::from("core")),
        ("X-Key".to_owned(), Text::secret("canary-key")),
        ("authorization".to_owned(), Text::from("none")),
    ]);
    let instance = start(&backend, spec).await.unwrap();
    let (_, cell) = parts(&instance);
    {
        let headers = cell.get();
        assert_eq!(headers["x-team"], "core");
        assert_eq!(headers["authorization"], "Bearer canary");
        assert_eq!(headers.len(), 3);
        let sensitive = ["x-team", "x-key", "authorization"].map(|n| headers[n].is_sensitive());
        assert_eq!(sensitive, [false, true, true]);
        assert!(!format!("{instance:?} {:?} {backend:?}", **headers).contains("canary"));
    }
    let next = credential("next", 2);
    backend.refresh(&key(), &next).await.unwrap();
    assert_eq!(cell.get()["authorization"], "Bearer next");
    let late = credential("late", 1);
    backend.refresh(&key(), &late).await.unwrap();
    assert_eq!(cell.get()["authorization"], "Bearer next");
}

#[tokio::test]
async fn unsendable_header_is_rejected_by_name_without_its_value() {
    let backend = RemoteBackend::default();
    let cases: [(&str, &str, &str); 7] = [
        ("x-key", "canary\nx", "the value of header x-key"),
        ("Content-Length", "1", "belongs to the connection"),
        ("not a name", "1", "is not a header's name"),
        ("x-ok", "https://u:canary@git/mcp", "send them in a header"),
        ("x-ok", "ftp://git/mcp", "begins neither"),
        ("x-ok", "/mcp", "has no scheme"),
        ("x-ok", "https://a..b/mcp", "no certificate can name"),
    ];
    for (name, value, wrong) in cases {
        let url = if name == "x-ok" {
            value
        } else {
            "http://git/mcp"
        };
        let mut spec = server(url);
        if let Launch::Remote(remote) = &mut spec.launch {
            remote.headers.insert(name.to_owned(), Text::secret(value));
        }
        let error = start(&backend, spec).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StartFailed);
        assert!(error.to_string().contains(wrong), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error}");
    }
    let mut spec = server("http://git/mcp");
    spec.slots[0].inject = Injection::Env("TOKEN".into());
    let error = start(&backend, spec).await.unwrap_err();
    assert!(error.to_string().contains("slot token"), "{error}");
}

#[tokio::test]
async fn instance_runs_until_it_is_stopped() {
    let backend = RemoteBackend::default();
    let mut events = backend.watch();
    let url = "http://127.0.0.1:1/mcp";
    let first = start(&backend, server(url)).await.unwrap();
    let second = start(&backend, server(url)).await.unwrap();
    assert!(first.fresh && !second.fresh);
    let (_, cell) = parts(&first);
    let mut exited = first.exited;
    assert!((&mut exited).now_or_never().is_none());
    backend.stop(&key(), Duration::ZERO).await.unwrap();
    let Exit { reason, .. } = join(exited, second.exited).await.0;
    assert_eq!(reason, "stopped");
    assert!(
        cell.get().is_empty(),
        "a stopped instance sends no credential"
    );
    assert!(start(&backend, server(url)).await.unwrap().fresh);
    let logs = backend.logs(&key(), LogOptions::default()).await.unwrap();
    assert_eq!(logs.count().await, 0);
    backend.remove(&key(), Duration::ZERO).await.unwrap();
    backend.remove(&key(), Duration::ZERO).await.unwrap();
    let unknown = backend.logs(&key(), LogOptions::default()).await.err();
    assert_eq!(unknown.unwrap().kind(), ErrorKind::NoRoute);
    drop(backend);
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(match event.unwrap() {
            InstanceEvent::Is(status) => format!("{:?}", status.phase),
            InstanceEvent::Gone(_) => "Gone".to_owned(),
            InstanceEvent::Synced => "Synced".to_owned(),
        });
    }
    assert_eq!(told, ["Synced", "Running", "Resting", "Running", "Gone"]);
}

#[tokio::test]
async fn lagging_watcher_receives_the_current_state() {
    let backend = RemoteBackend::default();
    let url = "http://127.0.0.1:1/mcp";
    let mut events = backend.watch();
    assert!(matches!(
        events.next().await,
        Some(Ok(InstanceEvent::Synced))
    ));
    for _ in 0..300 {
        start(&backend, server(url)).await.unwrap();
        backend.remove(&key(), Duration::ZERO).await.unwrap();
    }
    start(&backend, server(url)).await.unwrap();
    let Some(Ok(InstanceEvent::Is(status))) = events.next().await else {
        panic!("the instance is told");
    };
    assert_eq!(status.phase, Phase::Running);
    assert_eq!(status.place, [("host", "127.0.0.1:1".to_owned())]);
    assert!(events.next().now_or_never().is_none());
}

#[tokio::test]
async fn connection_check_opens_a_connection_and_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let backend = RemoteBackend::default();
    let open = server(&format!("http://{address}/mcp"));
    let (checked, accepted) = join(backend.check_connection(&open), listener.accept()).await;
    checked.unwrap();
    let mut sent = Vec::new();
    accepted.unwrap().0.read_to_end(&mut sent).await.unwrap();
    assert!(sent.is_empty(), "{sent:?}");
    drop(listener);
    let closed = [
        format!("http://{address}/mcp"),
        format!("https://{address}/mcp?key=canary"),
        "http://nowhere.invalid/mcp".to_owned(),
        format!("http://user:canary@{address}/mcp"),
    ];
    for url in closed {
        let error = backend.check_connection(&server(&url)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{url}");
        let text = error.to_string();
        assert!(text.starts_with("cannot connect: "), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}
