//! Who we are to an issuer: registered before, a document of ours, or registered now and kept by issuer.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Uri};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::OAuthOptions;
use super::errors::{OAuthError, shortened};
use super::metadata::IssuerMetadata;
use crate::auth::PublicUrl;
use crate::credential::json::{SecretText, from_secret, to_secret};
use crate::credential::{CredentialStore, Precondition, Record, RecordKey, RecordKind};
use crate::error::Result;
use crate::fetch::{Ask, Fetcher, Redirects, Site, Trust};
use crate::id::RecordName;
use crate::seal::hex;
use crate::server::OAuthClient;

/// What we are called where a person is asked.
const NAME: &str = "MCP Orchestrator";
/// Where our client metadata document stands, below the public address.
pub(super) const DOCUMENT: &str = "/oauth/client.json";
/// Where issuers send browsers back to, below the public address.
pub(super) const CALLBACK: &str = "/oauth/callback";
/// How long a registration for one sign-in at a port of this machine is kept.
const FOR_ONCE: Duration = Duration::from_hours(1);

/// A client at an issuer.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<SecretText>,
    pub(super) proof: Proof,
}

/// How a client shows at the token endpoint that it is itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Proof {
    #[serde(rename = "none")]
    None,
    #[serde(rename = "client_secret_basic")]
    Basic,
    #[serde(rename = "client_secret_post")]
    Post,
}

impl Proof {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }

    fn of(word: &str) -> Option<Self> {
        let all = [Self::None, Self::Basic, Self::Post];
        all.into_iter().find(|proof| proof.as_str() == word)
    }

    /// The best one that an issuer takes.
    fn choose(issuer: &IssuerMetadata, among: &[Self]) -> Self {
        let taken = issuer.token_endpoint_auth_methods_supported.as_deref();
        // Where it does not say, RFC 8414 means this.
        let Some(taken) = taken else {
            return Self::Basic;
        };
        let takes = |proof: &&Self| taken.iter().any(|word| word == proof.as_str());
        among.iter().find(takes).copied().unwrap_or(Self::Basic)
    }
}

impl Client {
    /// One that was registered before.
    pub(super) fn registered(
        id: &str,
        secret: Option<&SecretString>,
        issuer: &IssuerMetadata,
    ) -> Self {
        Self {
            id: id.to_owned(),
            secret: secret.cloned().map(SecretText),
            proof: match secret {
                None => Proof::None,
                Some(_) => Proof::choose(issuer, &[Proof::Basic, Proof::Post]),
            },
        }
    }
}

/// Finds or makes the client for a sign-in that comes back to this address.
pub(super) struct Clients<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) free: &'a [Site],
    pub(super) store: &'a dyn CredentialStore,
    pub(super) options: &'a OAuthOptions,
}

impl Clients<'_> {
    pub(super) async fn client(
        &self,
        configured: &OAuthClient,
        issuer: &IssuerMetadata,
        redirect_uri: &str,
    ) -> Result<Client> {
        if let OAuthClient::Registered { id, secret } = configured {
            return Ok(Client::registered(id, secret.as_ref(), issuer));
        }
        if let Some(document) = self.document(issuer, redirect_uri) {
            return Ok(Client {
                id: document,
                secret: None,
                proof: Proof::None,
            });
        }
        let key = key(&issuer.issuer, redirect_uri);
        if let Some((record, _)) = self.store.get(&key).await?
            && let Ok(client) = from_secret(&record.value)
        {
            return Ok(client);
        }
        let (client, end) = self.register(issuer, redirect_uri).await?;
        let value = to_secret(&client).map_err(|_| OAuthError::Metadata(String::new()))?;
        let record = Record {
            value,
            expires_at: end,
        };
        // Of two at once the later registration stands; the flow of the other keeps its own.
        self.store.put(&key, record, Precondition::Any).await?;
        Ok(client)
    }

    /// The address of our document, where the issuer reads such and can reach it.
    fn document(&self, issuer: &IssuerMetadata, redirect_uri: &str) -> Option<String> {
        let url = self.options.public_url.as_ref()?;
        let known = issuer.client_id_metadata_document_supported && url.is_https();
        (known && redirect_uri == url.at(CALLBACK)).then(|| url.at(DOCUMENT))
    }

    async fn register(
        &self,
        issuer: &IssuerMetadata,
        redirect_uri: &str,
    ) -> Result<(Client, Option<SystemTime>), OAuthError> {
        let name = || shortened(&issuer.issuer);
        let place = issuer.registration_endpoint.as_deref();
        let place = place.ok_or_else(|| OAuthError::NoClient(name()))?;
        let asked = Proof::choose(issuer, &[Proof::Basic, Proof::Post, Proof::None]);
        let loopback = is_loopback(redirect_uri);
        let mut body = metadata(&[redirect_uri], asked);
        body["application_type"] = if loopback { "native" } else { "web" }.into();
        let ask = Ask {
            method: Method::POST,
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            body: Bytes::from(body.to_string()),
            ..Ask::get(place, Trust::Told(self.free), Redirects::Answer)
        };
        let answer = self.fetcher.ask(ask).await?;
        if !answer.status.is_success() {
            let (issuer, status) = (name(), answer.status.as_u16());
            return Err(OAuthError::Unregistered { issuer, status });
        }
        let made: Registered = serde_json::from_slice(&answer.body)
            .map_err(|_| OAuthError::Metadata(crate::fetch::shown(place).to_owned()))?;
        let word = made.token_endpoint_auth_method.as_deref();
        let proof = match &made.client_secret {
            None => Proof::None,
            Some(_) => word.and_then(Proof::of).unwrap_or(asked),
        };
        let ends = made.client_secret_expires_at.filter(|at| *at > 0);
        let ends = ends.map(|at| SystemTime::UNIX_EPOCH + Duration::from_secs(at));
        let once = loopback.then(|| SystemTime::now() + FOR_ONCE);
        let client = Client {
            id: made.client_id,
            secret: made.client_secret,
            proof,
        };
        Ok((client, ends.into_iter().chain(once).min()))
    }
}

/// What an issuer answers to a registration.
#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<SecretText>,
    client_secret_expires_at: Option<u64>,
    token_endpoint_auth_method: Option<String>,
}

/// Forgets a registration, as one that the issuer does not know any more.
pub(super) async fn forget(
    store: &dyn CredentialStore,
    issuer: &str,
    redirect_uri: &str,
) -> Result<()> {
    store
        .delete(&key(issuer, redirect_uri), Precondition::Any)
        .await?;
    Ok(())
}

/// A registration belongs to one issuer and to where it sends browsers back to.
fn key(issuer: &str, redirect_uri: &str) -> RecordKey {
    let mut hash = Sha256::new();
    for part in [issuer, redirect_uri] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let name = RecordName::new(hex(&hash.finalize())).expect("hex is a record's name");
    RecordKey::new(RecordKind::Client, name)
}

fn metadata(redirect_uris: &[&str], proof: Proof) -> serde_json::Value {
    json!({
        "client_name": NAME,
        "redirect_uris": redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": proof.as_str(),
    })
}

/// The client metadata document that a gateway serves at `/oauth/client.json` below its public address, so that issuers
/// know it without a registration.
pub fn client_document(url: &PublicUrl) -> serde_json::Value {
    let mut document = metadata(&[&url.at(CALLBACK)], Proof::None);
    document["client_id"] = url.at(DOCUMENT).into();
    document["client_uri"] = url.as_str().into();
    document["application_type"] = "web".into();
    document
}

fn is_loopback(redirect_uri: &str) -> bool {
    let uri = redirect_uri.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host);
    host.is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"))
}
