//! A fake protected server and its issuer on loopback ports, with configurable responses and request counts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::credential::AuthorizationAnswer;

pub(super) struct Fake {
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

/// Configured responses and recorded requests.
#[derive(Default)]
pub(super) struct State {
    pub(super) server: String,
    pub(super) issuer: String,
    /// Members that replace those of a document; `null` removes one.
    pub(super) resource_metadata: Value,
    pub(super) issuer_metadata: Value,
    /// Paths that answer 404 or redirect elsewhere.
    pub(super) missing: HashSet<String>,
    pub(super) moved: HashMap<String, String>,
    pub(super) challenge: Option<String>,
    /// How the issuer answers refresh requests.
    pub(super) refreshes: Refreshes,
    pub(super) life: u64,
    pub(super) registration: Value,
    /// The recorded requests: kind and parameters.
    pub(super) seen: Vec<(&'static str, BTreeMap<String, String>)>,
    /// Pages that replace the response at a path of either site: status, type, body.
    pub(super) pages: HashMap<String, (u16, &'static str, String)>,
    /// Returns the error that the authorization endpoint answers instead of a code.
    pub(super) page_says: Option<PageHook>,
    /// Overrides the token endpoint's response, given the request and the regular response.
    pub(super) token_says: Option<TokenHook>,
    /// The members of the last registration.
    pub(super) registered: BTreeMap<String, Value>,
    challenge_of_code: Option<String>,
    pub(super) live_refresh: Option<String>,
    made: u64,
}

pub(super) type PageHook = fn(&State, &BTreeMap<String, String>) -> Option<&'static str>;
pub(super) type TokenHook =
    fn(&BTreeMap<String, String>, Value) -> Option<(u16, &'static str, String)>;

/// How refresh requests are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Refreshes {
    #[default]
    Well,
    /// With this status and body.
    Answer(u16, String),
}

impl Fake {
    pub(super) async fn start() -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            server: at(&server),
            issuer: format!("{}/tenant", at(&issuer)),
            life: 3600,
            ..State::default()
        }));
        let mut serving = JoinSet::new();
        serving.spawn(serve(server, Arc::clone(&state), protected));
        serving.spawn(serve(issuer, Arc::clone(&state), issuing));
        Self {
            state,
            _serving: serving,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn server_url(&self) -> String {
        format!("{}/mcp", self.state().server)
    }

    pub(super) fn issuer(&self) -> String {
        self.state().issuer.clone()
    }

    /// Returns the number of requests of a kind.
    pub(super) fn count(&self, kind: &str) -> usize {
        self.state()
            .seen
            .iter()
            .filter(|(seen, _)| *seen == kind)
            .count()
    }

    /// Returns the last request of a kind.
    pub(super) fn last(&self, kind: &str) -> BTreeMap<String, String> {
        let state = self.state();
        let found = state.seen.iter().rev().find(|(seen, _)| *seen == kind);
        found.unwrap_or_else(|| panic!("no {kind}")).1.clone()
    }

    /// Acts as the browser of a user who consents. Returns the state and the response.
    pub(super) fn agree(&self, url: &str) -> (String, AuthorizationAnswer) {
        let (page, query) = url.split_once('?').unwrap();
        let mut state = self.state();
        assert_eq!(page, format!("{}/authorize", state.issuer));
        let query = form(query);
        assert_eq!(query["code_challenge_method"], "S256");
        state.challenge_of_code = Some(query["code_challenge"].clone());
        let issuer = state.issuer.clone();
        let own = query["state"].clone();
        let says = state.page_says.and_then(|says| says(&state, &query));
        state.seen.push(("authorize", query));
        let mut answer = super::answer("the-code", Some(&issuer));
        if let Some(error) = says {
            answer.code = None;
            answer.error = Some(error.to_owned());
        }
        (own, answer)
    }
}

fn form(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
}

type Answer = (u16, Vec<(&'static str, String)>, String);
type AnswerHook = fn(&mut State, &Request) -> Answer;

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>, says: AnswerHook) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                connections.spawn(one(stream, Arc::clone(&state), says));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn one(stream: TcpStream, state: Arc<Mutex<State>>, says: AnswerHook) {
    let mut stream = BufReader::new(stream);
    let (mut line, mut headers) = (String::new(), BTreeMap::new());
    if stream.read_line(&mut line).await.is_err() {
        return;
    }
    loop {
        let mut header = String::new();
        if stream.read_line(&mut header).await.unwrap_or(0) <= 2 {
            break;
        }
        if let Some((name, value)) = header.trim().split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let length = headers
        .get("content-length")
        .and_then(|text| text.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    let mut words = line.split(' ').map(str::to_owned);
    let request = Request {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let (status, headers, body) = {
        let mut state = state.lock();
        match state.moved.get(&request.path) {
            Some(place) => (302, vec![("location", place.clone())], String::new()),
            None if state.pages.contains_key(&request.path) => {
                let (status, kind, body) = state.pages[&request.path].clone();
                state.seen.push(("page", BTreeMap::new()));
                (status, vec![("content-type", kind.to_owned())], body)
            }
            None if state.missing.contains(&request.path) => (404, Vec::new(), String::new()),
            None => says(&mut state, &request),
        }
    };
    let mut head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = stream
        .write_all(format!("{head}\r\n{body}").as_bytes())
        .await;
    let _ = stream.shutdown().await;
}

fn json_answer(mut document: Value, changes: &Value) -> Answer {
    for (name, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            document.as_object_mut().unwrap().remove(name);
        } else {
            document[name] = value.clone();
        }
    }
    (
        200,
        vec![("content-type", "application/json".into())],
        document.to_string(),
    )
}

/// The MCP server: it rejects requests and publishes metadata.
fn protected(state: &mut State, request: &Request) -> Answer {
    let place = format!("{}/.well-known/oauth-protected-resource/mcp", state.server);
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/mcp") => {
            let header = request.headers.get("authorization").cloned();
            let seen = header.map(|value| ("authorization".to_owned(), value));
            state.seen.push(("probe", seen.into_iter().collect()));
            let challenge = state.challenge.clone();
            let challenge =
                challenge.unwrap_or_else(|| format!("Bearer resource_metadata=\"{place}\""));
            (401, vec![("www-authenticate", challenge)], String::new())
        }
        ("GET", "/.well-known/oauth-protected-resource/mcp") => {
            let document = json!({
                "resource": format!("{}/mcp", state.server),
                "authorization_servers": [state.issuer],
            });
            json_answer(document, &state.resource_metadata.clone())
        }
        _ => (404, Vec::new(), String::new()),
    }
}

fn issuing(state: &mut State, request: &Request) -> Answer {
    let issuer = state.issuer.clone();
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/.well-known/oauth-authorization-server/tenant") => {
            state.seen.push(("metadata", BTreeMap::new()));
            let document = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "registration_endpoint": format!("{issuer}/register"),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
                "authorization_response_iss_parameter_supported": true,
            });
            json_answer(document, &state.issuer_metadata.clone())
        }
        ("POST", "/tenant/register") => {
            let asked = serde_json::from_str::<BTreeMap<String, Value>>(&request.body).unwrap();
            state.registered = asked.clone();
            let texts = asked
                .into_iter()
                .map(|(name, value)| (name, value.to_string()));
            state.seen.push(("register", texts.collect()));
            let made = json!({"client_id": "client-1", "client_secret": "s:1"});
            let (_, headers, body) = json_answer(made, &state.registration.clone());
            (201, headers, body)
        }
        ("POST", "/tenant/token") => token(state, request),
        _ => (404, Vec::new(), String::new()),
    }
}

fn token(state: &mut State, request: &Request) -> Answer {
    let mut asked = form(&request.body);
    if let Some(value) = request.headers.get("authorization") {
        asked.insert("authorization".into(), value.clone());
    }
    let refused = |code: &str| (400, Vec::new(), json!({"error": code}).to_string());
    if let Some(says) = state.token_says
        && let Some((status, kind, body)) = says(&asked, given(state))
    {
        state.seen.push(("refused", asked));
        return (status, vec![("content-type", kind.to_owned())], body);
    }
    match asked["grant_type"].as_str() {
        "authorization_code" => {
            let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(&asked["code_verifier"]));
            let holds =
                state.challenge_of_code.take() == Some(proof) && asked["code"] == "the-code";
            state.seen.push(("code", asked));
            if !holds {
                return refused("invalid_grant");
            }
        }
        "refresh_token" => {
            let holds = state.live_refresh.as_ref() == Some(&asked["refresh_token"]);
            state.seen.push(("refresh", asked));
            if let Refreshes::Answer(status, body) = &state.refreshes {
                return (*status, Vec::new(), body.clone());
            }
            if !holds {
                return refused("invalid_grant");
            }
        }
        _ => state.seen.push(("other", asked)),
    }
    let given = given(state);
    state.made += 1;
    state.live_refresh = given["refresh_token"].as_str().map(str::to_owned);
    json_answer(given, &Value::Null)
}

/// Returns the next token response.
fn given(state: &State) -> Value {
    let number = state.made + 1;
    json!({
        "access_token": format!("access-{number}"), "token_type": "Bearer",
        "refresh_token": format!("refresh-{number}"), "expires_in": state.life,
    })
}
