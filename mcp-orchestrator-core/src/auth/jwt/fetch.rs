//! Asks an issuer for its metadata and its keys: by TLS with a provider of its own, bounded in time and size, without
//! following redirects, which no issuer needs here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::keys::KeySet;

/// What an answer may hold.
const ANSWER_BYTES: usize = 1 << 20;
const CONNECT: Duration = Duration::from_secs(5);

type HttpClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

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
struct Metadata {
    issuer: String,
    jwks_uri: String,
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
            None => self.discovered().await?,
        };
        let answer = self.get(&place).await?;
        KeySet::parse(&answer).map_err(|error| format!("{}: {error}", shown(&place)))
    }

    /// Where the issuer says its keys are: OIDC discovery, else RFC 8414.
    async fn discovered(&self) -> Result<String, String> {
        let mut told = Vec::new();
        for place in metadata_places(&self.issuer) {
            match self.metadata(&place).await {
                Ok(place) => return Ok(place),
                Err(error) => told.push(error),
            }
        }
        Err(told.join("; "))
    }

    async fn metadata(&self, place: &str) -> Result<String, String> {
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
        if self.issuer.starts_with("https:") && !metadata.jwks_uri.starts_with("https:") {
            let place = shown(place);
            return Err(format!("{place}: its keys are not at an https address"));
        }
        Ok(metadata.jwks_uri)
    }

    async fn get(&self, place: &str) -> Result<Bytes, String> {
        let wrong = |why: String| format!("{}: {why}", shown(place));
        let uri: Uri = place.parse().map_err(|_| wrong("no address".into()))?;
        let request = Request::get(uri)
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::USER_AGENT, "mcp-orchestrator")
            .body(Empty::new())
            .map_err(|_| wrong("no address".into()))?;
        let client = self.client.get_or_try_init(client).await.map_err(wrong)?;
        let asked = async {
            let response = client
                .request(request)
                .await
                .map_err(|error| causes(&error))?;
            let status = response.status();
            if status != StatusCode::OK {
                return Err(format!("it answered {status}"));
            }
            let body = Limited::new(response.into_body(), ANSWER_BYTES);
            let body = body.collect().await.map_err(|error| error.to_string())?;
            Ok(body.to_bytes())
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
