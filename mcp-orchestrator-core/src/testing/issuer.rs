//! An identity provider for tests: metadata, keys and tokens, including invalid ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// An issuer on a loopback port. It stops when dropped.
#[derive(Debug)]
pub struct TestIssuer {
    url: String,
    state: Arc<State>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    url: String,
    answers: Mutex<Answers>,
    key: Mutex<Key>,
    asked: AtomicUsize,
    rotations: AtomicUsize,
}

#[derive(Debug, Clone)]
struct Key {
    id: String,
    pair: Arc<EcdsaKeyPair>,
}

/// How the issuer responds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Correctly.
    Well,
    /// With status 503 to every request.
    Down,
    /// With its metadata only at the location defined by RFC 8414.
    OAuthOnly,
    /// With metadata that names another issuer.
    AsAnother,
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// With the issuer's current key.
    Well,
    /// `alg: none`, and no signature.
    None,
    /// With the public key used as a shared secret.
    PublicKeyAsSecret,
    /// With a foreign key, but the issuer's key ID.
    Foreign,
    /// With the signature removed.
    Unsigned,
}

impl TestIssuer {
    /// Starts an issuer.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let url = format!("http://{address}/realms/test");
        let state = Arc::new(State {
            url: url.clone(),
            answers: Mutex::new(Answers::Well),
            key: Mutex::new(Key::new(0)),
            asked: AtomicUsize::new(0),
            rotations: AtomicUsize::new(0),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&state)));
        Self {
            url,
            state,
            _serving: serving,
        }
    }

    /// Returns the issuer identifier, which is also its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets how the issuer responds to further requests.
    pub fn answers(&self, answers: Answers) {
        *self.state.answers.lock() = answers;
    }

    /// Replaces the key; the previous one is no longer listed.
    pub fn rotate(&self) {
        let number = self.state.rotations.fetch_add(1, Ordering::SeqCst) + 1;
        *self.state.key.lock() = Key::new(number);
    }

    /// Returns how often the keys were requested.
    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// Returns claims for this user and audience, valid for five minutes.
    pub fn claims(&self, user: &str, audience: &str) -> Value {
        let now = now();
        json!({"iss": self.url, "sub": user, "aud": audience, "iat": now, "exp": now + 300})
    }

    /// Returns a valid token.
    pub fn token(&self, claims: &Value) -> String {
        self.signed(claims, Signing::Well)
    }

    /// Returns a token signed in this way.
    pub fn signed(&self, claims: &Value, signing: Signing) -> String {
        let key = self.state.key.lock().clone();
        let algorithm = match signing {
            Signing::None => "none",
            Signing::PublicKeyAsSecret => "HS256",
            Signing::Well | Signing::Foreign | Signing::Unsigned => "ES256",
        };
        let header = json!({"alg": algorithm, "kid": key.id, "typ": "at+jwt"});
        key.token(&header, claims, signing)
    }

    /// Returns a token with this header and a valid signature.
    pub fn with_header(&self, header: &Value, claims: &Value) -> String {
        let key = self.state.key.lock().clone();
        key.token(header, claims, Signing::Well)
    }

    /// Returns the ID of the current key.
    pub fn key_id(&self) -> String {
        self.state.key.lock().id.clone()
    }
}

impl Key {
    fn new(number: usize) -> Self {
        Self {
            id: format!("key-{number}"),
            pair: Arc::new(pair()),
        }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
            "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        })
    }

    fn token(&self, header: &Value, claims: &Value, signing: Signing) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let by = |pair: &EcdsaKeyPair| {
            let signature = pair.sign(&SystemRandom::new(), message.as_bytes());
            signature
                .expect("random numbers are at hand")
                .as_ref()
                .to_vec()
        };
        let signature = match signing {
            Signing::Well => by(&self.pair),
            Signing::None | Signing::Unsigned => Vec::new(),
            Signing::Foreign => by(&pair()),
            Signing::PublicKeyAsSecret => {
                let secret = self.pair.public_key().as_ref();
                let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length will do");
                mac.update(message.as_bytes());
                mac.finalize().into_bytes().to_vec()
            }
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn pair() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("random numbers");
    EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("it was made so")
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(answer(stream, Arc::clone(&state)));
    }
}

/// Answers one request and closes the connection.
async fn answer(stream: TcpStream, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    if stream.read_line(&mut first).await.is_err() {
        return;
    }
    let mut line = String::new();
    while matches!(stream.read_line(&mut line).await, Ok(read) if read > 2) {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, body) = state.route(path);
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // The client may have disconnected.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

impl State {
    fn route(&self, path: &str) -> (&'static str, Value) {
        let answers = *self.answers.lock();
        let name = match answers {
            Answers::Down => return ("503 Service Unavailable", json!({})),
            Answers::AsAnother => "http://another.example",
            Answers::Well | Answers::OAuthOnly => &self.url,
        };
        let metadata = json!({"issuer": name, "jwks_uri": format!("{}/keys", self.url)});
        match path {
            "/realms/test/.well-known/openid-configuration" if answers != Answers::OAuthOnly => {
                ("200 OK", metadata)
            }
            "/.well-known/oauth-authorization-server/realms/test" => ("200 OK", metadata),
            "/realms/test/keys" => {
                self.asked.fetch_add(1, Ordering::SeqCst);
                ("200 OK", json!({"keys": [self.key.lock().jwk()]}))
            }
            _ => ("404 Not Found", json!({})),
        }
    }
}
