use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::join;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A certificate authority and the directory with its files.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// Writes a certificate for a name, and its key.
    fn sign(&self, name: &str) -> ClientCertificate {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |what: &str| self.folder.path().join(format!("{name}.{what}"));
        std::fs::write(file("pem"), certificate.pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        ClientCertificate {
            hosts: Vec::new(),
            certificate: file("pem"),
            key: file("key"),
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    /// Returns a TLS acceptor for a name. Client certificates of this authority are accepted but not required.
    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let files = self.sign(name);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(self.roots()),
            Arc::clone(&provider),
        );
        let chain = vec![pem(&files.certificate)];
        let key =
            <PrivateKeyDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_file(&files.key);
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            .with_single_cert(chain, key.unwrap())
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    fn connector(&self, proxies: Proxies, certificates: Vec<ClientCertificate>) -> Connector {
        Connector::new(ConnectorOptions {
            authorities: Some(self.folder.path().join("ca.pem")),
            client_certificates: certificates,
            proxies,
        })
    }
}

fn pem(path: &Path) -> rustls::pki_types::CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_file(path).unwrap()
}

fn target(https: bool, host: &str, port: u16) -> Target {
    Target {
        https,
        host: host.to_owned(),
        port,
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Serves one CONNECT request. Returns its head once both sides have closed.
async fn http_proxy(listener: TcpListener, to: SocketAddr) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let head = head(&mut client).await;
    let mut server = TcpStream::connect(to).await.unwrap();
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .await
        .unwrap();
    let _ = copy_bidirectional(&mut client, &mut server).await;
    head
}

fn all(url: &str, no_proxy: &str) -> Proxies {
    Proxies::all(&url.to_owned().into(), no_proxy).unwrap()
}

/// Performs the TLS handshake with the next client. Returns the number of certificates that it presented.
async fn accept(listener: &TcpListener, acceptor: &TlsAcceptor) -> usize {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = acceptor.accept(stream).await.unwrap();
    let mut heard = [0; 4];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"ping");
    let presented = stream.get_ref().1.peer_certificates();
    presented.map_or(0, <[_]>::len)
}

async fn ping(connector: &Connector, target: &Target) {
    let mut stream = connector.connect(target).await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    stream.flush().await.unwrap();
}

#[tokio::test]
async fn https_is_tunneled_with_proxy_authentication() {
    let authority = Authority::new();
    let (server, at) = listener().await;
    let (proxy, proxy_at) = listener().await;
    let connector = authority.connector(all(&format!("http://ann:pass@{proxy_at}"), ""), vec![]);
    let target = target(true, "mcp.example.test", 8443);
    assert!(connector.is_proxied(&target));
    let acceptor = authority.acceptor("mcp.example.test");
    let served = join(accept(&server, &acceptor), http_proxy(proxy, at));
    let ((_, asked), ()) = join(served, ping(&connector, &target)).await;
    assert!(
        asked.starts_with("CONNECT mcp.example.test:8443 HTTP/1.1\r\n"),
        "{asked}"
    );
    // ann:pass
    assert!(asked.contains("Basic YW5uOnBhc3M="), "{asked}");
}

#[tokio::test]
async fn http_is_tunneled_to_its_own_port() {
    let (server, at) = listener().await;
    let (proxy, proxy_at) = listener().await;
    let connector = Connector::new(ConnectorOptions {
        proxies: all(&format!("http://{proxy_at}"), ""),
        ..ConnectorOptions::default()
    });
    let heard = async {
        let mut heard = [0; 4];
        let (mut stream, _) = server.accept().await.unwrap();
        stream.read_exact(&mut heard).await.unwrap();
        heard
    };
    let target = target(false, "mcp.example.test", 80);
    let ((heard, asked), ()) = join(
        join(heard, http_proxy(proxy, at)),
        ping(&connector, &target),
    )
    .await;
    assert_eq!(&heard, b"ping");
    assert!(asked.starts_with("CONNECT mcp.example.test:80 "), "{asked}");
}

#[tokio::test]
async fn socks_proxy_resolves_names_and_accepts_a_password() {
    let (proxy, proxy_at) = listener().await;
    let connector = Connector::new(ConnectorOptions {
        proxies: all(&format!("socks5h://ann:pass@{proxy_at}"), ""),
        ..ConnectorOptions::default()
    });
    let served = async {
        let (mut stream, _) = proxy.accept().await.unwrap();
        let mut greeting = [0; 2];
        stream.read_exact(&mut greeting).await.unwrap();
        let mut methods = vec![0; usize::from(greeting[1])];
        stream.read_exact(&mut methods).await.unwrap();
        stream.write_all(&[5, 2]).await.unwrap();
        let mut login = [0; 2 + 3 + 1 + 4];
        stream.read_exact(&mut login).await.unwrap();
        assert_eq!(&login, b"\x01\x03ann\x04pass");
        stream.write_all(&[1, 0]).await.unwrap();
        let mut request = [0; 4 + 1 + 16 + 2];
        stream.read_exact(&mut request).await.unwrap();
        let reply = [5, 0, 0, 1, 127, 0, 0, 1, 0, 1];
        stream.write_all(&reply).await.unwrap();
        let mut heard = [0; 4];
        stream.read_exact(&mut heard).await.unwrap();
        (request, heard)
    };
    let target = target(false, "mcp.example.test", 80);
    let ((request, heard), ()) = join(served, ping(&connector, &target)).await;
    assert_eq!(&request[4..21], b"\x10mcp.example.test");
    assert_eq!(&heard, b"ping");
}

#[tokio::test]
async fn proxy_refusal_names_the_proxy_without_its_password() {
    let (proxy, proxy_at) = listener().await;
    let proxies = all(&format!("http://ann:pass@{proxy_at}"), "");
    assert!(!format!("{proxies:?}").contains("pass"));
    let connector = Connector::new(ConnectorOptions {
        proxies,
        ..ConnectorOptions::default()
    });
    let served = async {
        let (mut client, _) = proxy.accept().await.unwrap();
        head(&mut client).await;
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
        client.write_all(refusal).await.unwrap();
    };
    let target = target(true, "mcp.example.test", 443);
    let ((), refused) = join(served, connector.connect(&target)).await;
    let error = refused.err().unwrap().to_string();
    assert!(
        error.starts_with("mcp.example.test:443: proxy: "),
        "{error}"
    );
    assert!(error.contains(&proxy_at.to_string()), "{error}");
    assert!(error.contains("authorization required"), "{error}");
    assert!(!error.contains("pass"), "{error}");
}

#[test]
fn no_proxy_hosts_and_localhost_are_reached_directly() {
    let connector = Connector::new(ConnectorOptions {
        proxies: all("http://127.0.0.1:1", "internal.example, 10.0.0.0/8, .corp"),
        ..ConnectorOptions::default()
    });
    let rows = [
        ("mcp.example.test", true),
        ("203.0.113.9", true),
        ("2001:db8::1", true),
        ("internal.example", false),
        ("git.internal.example", false),
        ("git.corp", false),
        ("10.1.2.3", false),
        ("localhost", false),
        ("LOCALHOST", false),
        ("127.0.0.1", false),
        ("127.8.8.8", false),
        ("::1", false),
        ("::ffff:127.0.0.1", false),
    ];
    for (host, proxied) in rows {
        for https in [true, false] {
            assert_eq!(
                connector.is_proxied(&target(https, host, 443)),
                proxied,
                "{host}"
            );
        }
    }
    assert!(
        !Connector::new(ConnectorOptions {
            proxies: Proxies::none(),
            ..ConnectorOptions::default()
        })
        .is_proxied(&target(true, "mcp.example.test", 443))
    );
}

#[test]
fn invalid_proxy_urls_are_rejected() {
    for url in [
        "",
        "proxy",
        "proxy.example:3128",
        "ftp://p.example",
        "http://",
        "socks4://p:1",
    ] {
        let answer = Proxies::all(&url.to_owned().into(), "");
        assert!(answer.is_err(), "{url:?}");
    }
}

#[tokio::test]
async fn client_certificate_is_presented_only_to_its_hosts() {
    let authority = Authority::new();
    let certificate = ClientCertificate {
        hosts: vec!["*.example.test".to_owned(), "exact.test".to_owned()],
        ..authority.sign("client")
    };
    let rows = [
        ("mcp.example.test", 1),
        ("MCP.Example.Test", 1),
        ("exact.test", 1),
        ("sub.exact.test", 0),
        ("example.test", 0),
        ("notexample.test", 0),
    ];
    for (name, presented) in rows {
        let (server, at) = listener().await;
        let (proxy, proxy_at) = listener().await;
        let proxies = all(&format!("http://{proxy_at}"), "");
        let connector = authority.connector(proxies, vec![certificate.clone()]);
        let acceptor = authority.acceptor(name);
        let served = join(accept(&server, &acceptor), http_proxy(proxy, at));
        let target = target(true, name, 443);
        let ((count, _), ()) = join(served, ping(&connector, &target)).await;
        assert_eq!(count, presented, "{name}");
    }
}

#[tokio::test]
async fn changed_client_certificate_is_reloaded() {
    let authority = Authority::new();
    let certificate = ClientCertificate {
        hosts: vec!["mcp.example.test".to_owned()],
        ..authority.sign("client")
    };
    let connector = authority.connector(Proxies::none(), vec![certificate.clone()]);
    let certificates = &connector.0.certificates;
    let first = certificates.config("mcp.example.test").await.unwrap();
    let again = certificates.config("mcp.example.test").await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    std::fs::write(&certificate.key, "not a key").unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let file = std::fs::File::options().write(true).open(&certificate.key);
    file.unwrap().set_modified(later).unwrap();
    let error = certificates.config("mcp.example.test").await.unwrap_err();
    assert!(error.to_string().contains("client.key"), "{error}");
    // Other hosts do not need the certificate.
    certificates.config("other.example.test").await.unwrap();
}

#[tokio::test]
async fn missing_ca_file_is_reported_before_connecting() {
    let connector = Connector::new(ConnectorOptions {
        authorities: Some("/nonexistent/ca.pem".into()),
        ..ConnectorOptions::default()
    });
    let error = connector
        .prepare(&target(true, "mcp.example.test", 443))
        .await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read certificate authorities /nonexistent/ca.pem: "),
        "{error}"
    );
    connector
        .prepare(&target(false, "mcp.example.test", 80))
        .await
        .unwrap();
}

#[tokio::test]
async fn tls_failure_says_what_to_do() {
    let (trusted, other) = (Authority::new(), Authority::new());
    let failure = async |acceptor: TlsAcceptor, connector: &Connector, host: &str| {
        let (server, at) = listener().await;
        let serve = async {
            let (stream, _) = server.accept().await.unwrap();
            // The client ends the handshake.
            let _ = acceptor.accept(stream).await;
        };
        let target = target(true, host, at.port());
        let connected = connector.connect_to(&target, vec![at]);
        let ((), connected) = join(serve, connected).await;
        connected.err().unwrap().to_string()
    };
    let connector = trusted.connector(Proxies::none(), Vec::new());
    let error = failure(other.acceptor("mcp.test"), &connector, "mcp.test").await;
    assert!(error.contains("network.ca_file"), "{error}");
    let error = failure(trusted.acceptor("mcp.test"), &connector, "other.test").await;
    assert!(
        error.contains("use a host name that its certificate contains"),
        "{error}"
    );

    let (server, at) = listener().await;
    let plain = async {
        let (mut stream, _) = server.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        let mut rest = Vec::new();
        // The client closes the connection.
        let _ = stream.read_to_end(&mut rest).await;
    };
    let target = target(true, "mcp.test", at.port());
    let ((), connected) = join(plain, connector.connect_to(&target, vec![at])).await;
    let error = connected.err().unwrap().to_string();
    assert!(
        error.contains("TLS handshake failed") && error.contains("use http://"),
        "{error}"
    );
}
