//! Asks an issuer for its metadata and its keys: by TLS with a provider of its own, bounded in time and size, without
//! following redirects, which no issuer needs here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::keys::KeySet;

/// What an answer may hold.
const ANSWER_BYTES: usize = 1 << 20;
const CONNECT: Duration = Duration::from_secs(5);

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// One who asks an issuer.
#[derive(Debug)]
pub(super) struct Fetcher {
    issuer: String,
    jwks_url: Option<String>,
    timeout: Duration,
    client: OnceCell<HttpClient>,
}

/// What an issuer says of itself.
#[derive(Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    jwks_uri: String,
    /// Where people sign in.
    pub(super) authorization_endpoint: Option<String>,
    /// Where codes become tokens.
    pub(super) token_endpoint: Option<String>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether it names itself when it sends a browser back.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Whether all that it names is reached by TLS.
    fn is_https(&self) -> bool {
        let (page, tokens) = (&self.authorization_endpoint, &self.token_endpoint);
        let mut places = [Some(&self.jwks_uri), page.as_ref(), tokens.as_ref()]
            .into_iter()
            .flatten();
        places.all(|place| place.starts_with("https:"))
    }
}

impl Fetcher {
    pub(super) fn new(issuer: String, jwks_url: Option<String>, timeout: Duration) -> Self {
        Self {
            issuer,
            jwks_url,
            timeout,
            client: OnceCell::new(),
        }
    }

    /// The issuer's keys of now.
    pub(super) async fn keys(&self) -> Result<KeySet, String> {
        let place = match &self.jwks_url {
            Some(place) => place.clone(),
            None => self.document().await?.jwks_uri,
        };
        let answer = self.get(&place).await?;
        KeySet::parse(&answer).map_err(|error| format!("{}: {error}", shown(&place)))
    }

    /// What the issuer says of itself: OIDC discovery, else RFC 8414.
    pub(super) async fn document(&self) -> Result<Metadata, String> {
        let mut told = Vec::new();
        for place in metadata_places(&self.issuer) {
            match self.metadata(&place).await {
                Ok(metadata) => return Ok(metadata),
                Err(error) => told.push(error),
            }
        }
        Err(told.join("; "))
    }

    async fn metadata(&self, place: &str) -> Result<Metadata, String> {
        let answer = self.get(place).await?;
        let metadata: Metadata = serde_json::from_slice(&answer)
            .map_err(|_| format!("{}: what it answered is no metadata", shown(place)))?;
        if metadata.issuer != self.issuer {
            return Err(format!(
                "{}: it calls itself {:?}; `issuer` must be exactly that",
                shown(place),
                metadata.issuer.chars().take(200).collect::<String>()
            ));
        }
        if self.issuer.starts_with("https:") && !metadata.is_https() {
            let place = shown(place);
            return Err(format!("{place}: it names an address that is not https"));
        }
        Ok(metadata)
    }

    async fn get(&self, place: &str) -> Result<Bytes, String> {
        let wrong = |why: String| format!("{}: {why}", shown(place));
        let request = Request::get(place)
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::USER_AGENT, "mcp-orchestrator")
            .body(Full::default())
            .map_err(|_| wrong("no address".into()))?;
        let (status, body) = self.ask(place, request).await?;
        if status != StatusCode::OK {
            return Err(wrong(format!("it answered {status}")));
        }
        Ok(body)
    }

    /// Sends a form, with what proves who we are, and answers whatever comes back.
    pub(super) async fn post(
        &self,
        place: &str,
        form: &SecretString,
        proof: Option<HeaderValue>,
    ) -> Result<(StatusCode, Bytes), String> {
        let form = Bytes::copy_from_slice(form.expose_secret().as_bytes());
        let mut request = Request::post(place)
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::USER_AGENT, "mcp-orchestrator")
            .header(
                http::header::CONTENT_TYPE,
                "application/x-www-form-urlencoded",
            )
            .body(Full::new(form))
            .map_err(|_| format!("{}: no address", shown(place)))?;
        if let Some(proof) = proof {
            request
                .headers_mut()
                .insert(http::header::AUTHORIZATION, proof);
        }
        self.ask(place, request).await
    }

    async fn ask(
        &self,
        place: &str,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), String> {
        let wrong = |why: String| format!("{}: {why}", shown(place));
        let client = self.client.get_or_try_init(client).await.map_err(wrong)?;
        let asked = async {
            let response = client
                .request(request)
                .await
                .map_err(|error| causes(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES);
            let body = body.collect().await.map_err(|error| error.to_string())?;
            Ok((status, body.to_bytes()))
        };
        let answer = tokio::time::timeout(self.timeout, asked).await;
        answer
            .unwrap_or_else(|_| Err(format!("it did not answer within {:?}", self.timeout)))
            .map_err(wrong)
    }
}

/// Where an issuer's metadata may be.
pub(super) fn metadata_places(issuer: &str) -> Vec<String> {
    let issuer = issuer.trim_end_matches('/');
    let mut places = vec![format!("{issuer}/.well-known/openid-configuration")];
    if let Ok(uri) = issuer.parse::<Uri>()
        && let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority())
    {
        let path = uri.path().trim_end_matches('/');
        places.push(format!(
            "{scheme}://{authority}/.well-known/oauth-authorization-server{path}"
        ));
    }
    places
}

/// An address without what may be secret in it.
fn shown(place: &str) -> &str {
    place.split(['?', '#']).next().unwrap_or_default()
}

/// An error with all that caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn client() -> Result<HttpClient, String> {
    let roots = tokio::task::spawn_blocking(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    });
    let roots = roots
        .await
        .map_err(|_| "loading certificates was broken off")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new())
        // A few questions in ten minutes: nothing is worth keeping open.
        .pool_max_idle_per_host(0)
        .build(connector);
    Ok(client)
}
