//! The OAuth client at an issuer: preregistered, a client ID metadata document, or registered dynamically and kept
//! per issuer.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Uri};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::OAuthOptions;
use super::documents::Registration;
use super::errors::{OAuthError, error_code, shortened};
use super::quota::Quota;
use crate::auth::PublicUrl;
use crate::credential::{CredentialStore, Precondition, Record, RecordKey, RecordKind};
use crate::error::{ErrorKind, Result};
use crate::fetch::{Answer, Ask, Fetcher, Redirects, Site, Trust};
use crate::id::RecordName;
use crate::oauth::{AuthMethod, ClientCredentials, IssuerMetadata, Members};
use crate::seal::hex;
use crate::secret_json::{SecretText, from_secret, to_secret};
use crate::server::OAuthClient;

/// The client name that users see on consent pages.
const NAME: &str = "MCP Orchestrator";
/// Path of the client metadata document, below the public URL.
pub(super) const DOCUMENT: &str = "/oauth/client.json";
/// Path that issuers redirect browsers to, below the public URL.
pub(super) const CALLBACK: &str = "/oauth/callback";
/// How long a registration for a sign-in with a loopback redirect URI is kept.
const LOOPBACK_REGISTRATION_TTL: Duration = Duration::from_hours(1);

/// A client at an issuer.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<SecretText>,
    #[serde(rename = "proof")]
    pub(super) auth_method: AuthMethod,
}

impl Client {
    /// Creates a preregistered client.
    pub(super) fn registered(
        id: &str,
        secret: Option<&SecretString>,
        issuer: &IssuerMetadata,
    ) -> Self {
        Self {
            id: id.to_owned(),
            secret: secret.cloned().map(SecretText),
            auth_method: match secret {
                None => AuthMethod::None,
                Some(_) => AuthMethod::choose(issuer, &[AuthMethod::Basic, AuthMethod::Post]),
            },
        }
    }

    /// Returns this client with the authentication method that the issuer accepted.
    pub(super) fn authenticating_by(&self, auth_method: AuthMethod) -> Self {
        Self {
            auth_method,
            ..self.clone()
        }
    }

    /// Returns what the client authenticates with.
    pub(super) fn credentials(&self) -> ClientCredentials<'_> {
        ClientCredentials {
            id: &self.id,
            secret: self.secret.as_ref().map(|secret| &secret.0),
            method: self.auth_method,
        }
    }
}

/// A stored registration.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<SecretText>,
    #[serde(rename = "proof")]
    auth_method: AuthMethod,
    /// The scopes that were requested at registration. `None` if an earlier version stored the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wanted: Option<Vec<String>>,
    /// The scopes that the issuer granted the client, if it returned any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allowed: Option<Vec<String>>,
    /// When a browser was sent to the issuer with this client, if it has not come back since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    away: Option<SystemTime>,
}

impl Kept {
    fn client(self) -> Client {
        Client {
            id: self.id,
            secret: self.secret,
            auth_method: self.auth_method,
        }
    }

    /// Returns `true` if the client was registered for all of these scopes.
    fn fits(&self, scopes: &[String]) -> bool {
        let own = self.wanted.as_ref();
        own.is_none_or(|own| scopes.iter().all(|scope| own.contains(scope)))
    }
}

/// Finds or registers the client for a sign-in.
pub(super) struct Clients<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) free: &'a [Site],
    pub(super) store: &'a dyn CredentialStore,
    pub(super) options: &'a OAuthOptions,
    pub(super) quota: &'a Quota,
}

/// What a client is needed for.
pub(super) struct Wanted<'a> {
    pub(super) configured: &'a OAuthClient,
    pub(super) issuer: &'a IssuerMetadata,
    pub(super) redirect_uri: &'a str,
    pub(super) scopes: &'a [String],
    /// The caller that begins the sign-in.
    pub(super) for_whom: &'a str,
}

impl Clients<'_> {
    /// Returns the client, and the scopes that it may request.
    ///
    /// A stored registration is reused if it covers the wanted scopes, unless the last sign-in with it did not come
    /// back: an issuer that has forgotten its clients shows the user an error and never redirects to us.
    pub(super) async fn client(&self, wanted: &Wanted<'_>) -> Result<(Client, Vec<String>)> {
        let issuer = wanted.issuer;
        let scopes = || wanted.scopes.to_vec();
        if let OAuthClient::Registered { id, secret } = wanted.configured {
            let client = Client::registered(id, secret.as_ref(), issuer);
            return Ok((client, scopes()));
        }
        if let Some(id) = self.document(issuer, wanted.redirect_uri) {
            let client = Client {
                id,
                secret: None,
                auth_method: AuthMethod::None,
            };
            return Ok((client, scopes()));
        }
        let key = key(&issuer.issuer, wanted.redirect_uri);
        let kept = self.store.get(&key).await?;
        let kept = kept.and_then(|(record, _)| {
            let kept = from_secret::<Kept>(&record.value).ok()?;
            Some((kept, record.expires_at))
        });
        let good = |(kept, _): &(Kept, _)| kept.away.is_none() && kept.fits(wanted.scopes);
        let (mut kept, end) = match kept {
            Some(kept) if good(&kept) => kept,
            Some(kept) => match self.made(wanted).await {
                Ok(made) => made,
                // An old client may still work, which is better than none.
                Err(error) => {
                    let issuer = shortened(&issuer.issuer);
                    tracing::warn!(issuer, %error, "a kept client is used again: no new one can be registered");
                    kept
                }
            },
            None => self.made(wanted).await?,
        };
        kept.away = Some(SystemTime::now());
        let allowed = kept.allowed.clone();
        let value = to_secret(&kept).map_err(|_| OAuthError::Metadata(String::new()))?;
        let record = Record {
            value,
            expires_at: end,
        };
        // If two sign-ins register at once, the later registration is stored; the flow of the other keeps its own
        // client.
        self.store.put(&key, record, Precondition::Any).await?;
        Ok((kept.client(), among(wanted.scopes, allowed.as_deref())))
    }

    /// Returns the URL of the client metadata document, if the issuer supports such documents and can fetch it.
    fn document(&self, issuer: &IssuerMetadata, redirect_uri: &str) -> Option<String> {
        let url = self.options.public_url.as_ref()?;
        let known = issuer.client_id_metadata_document_supported && url.is_https();
        (known && redirect_uri == url.at(CALLBACK)).then(|| url.at(DOCUMENT))
    }

    /// Registers a client, within the caller's quota.
    async fn made(&self, wanted: &Wanted<'_>) -> Result<(Kept, Option<SystemTime>), OAuthError> {
        self.quota
            .registration(wanted.for_whom, &wanted.issuer.issuer)?;
        match self.register(wanted, wanted.scopes).await {
            // Some issuers reject scopes at registration that they accept at sign-in.
            Err(OAuthError::Unregistered { .. }) if !wanted.scopes.is_empty() => {
                self.register(wanted, &[]).await
            }
            made => made,
        }
    }

    async fn register(
        &self,
        wanted: &Wanted<'_>,
        scopes: &[String],
    ) -> Result<(Kept, Option<SystemTime>), OAuthError> {
        let Wanted {
            issuer,
            redirect_uri,
            ..
        } = *wanted;
        let name = || shortened(&issuer.issuer);
        let place = issuer.registration_endpoint.as_deref();
        let place = place.ok_or_else(|| OAuthError::NoClient(name()))?;
        let asked = AuthMethod::choose(
            issuer,
            &[AuthMethod::Basic, AuthMethod::Post, AuthMethod::None],
        );
        let loopback = is_loopback(redirect_uri);
        let mut body = metadata(&[redirect_uri], asked);
        body["application_type"] = if loopback { "native" } else { "web" }.into();
        if !scopes.is_empty() {
            body["scope"] = scopes.join(" ").into();
        }
        let ask = Ask {
            method: Method::POST,
            headers: vec![
                (ACCEPT, HeaderValue::from_static("application/json")),
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            ],
            body: Bytes::from(body.to_string()),
            ..Ask::get(place, Trust::Told(self.free), Redirects::Answer)
        };
        let answer = self.fetcher.ask(ask).await?;
        let made = Registration::read(&answer.body).filter(|_| answer.status.is_success());
        let Some(made) = made else {
            return Err(OAuthError::Unregistered {
                issuer: name(),
                why: refusal(&answer),
            });
        };
        let auth_method = match &made.client_secret {
            None => AuthMethod::None,
            Some(_) => {
                let word = made.auth_method.as_deref();
                word.and_then(AuthMethod::of).unwrap_or(asked)
            }
        };
        let once = loopback.then(|| SystemTime::now() + LOOPBACK_REGISTRATION_TTL);
        let kept = Kept {
            id: made.client_id,
            secret: made.client_secret,
            auth_method,
            wanted: Some(wanted.scopes.to_vec()),
            allowed: made.scopes,
            away: None,
        };
        Ok((kept, made.ends.into_iter().chain(once).min()))
    }
}

/// Describes a failed registration, quoting the issuer's error if there is one.
fn refusal(answer: &Answer) -> String {
    let status = format!("HTTP {}", answer.status.as_u16());
    let Some(members) = Members::read(&answer.body) else {
        return status;
    };
    let Some(error) = members.text("error") else {
        return status;
    };
    let error = error_code(&error);
    match members.text("error_description") {
        Some(words) => format!("{status}, {error}: {}", shortened(&words)),
        None => format!("{status}, {error}"),
    }
}

/// Returns the wanted scopes that are allowed, or all wanted scopes if the issuer allows none of them.
fn among(wanted: &[String], allowed: Option<&[String]>) -> Vec<String> {
    let allowed = allowed.unwrap_or_default();
    let among: Vec<String> = wanted
        .iter()
        .filter(|scope| allowed.contains(scope))
        .cloned()
        .collect();
    if among.is_empty() {
        wanted.to_vec()
    } else {
        among
    }
}

/// Records that a browser came back from an issuer that knows this client, so that the client is reused.
pub(super) async fn returned(
    store: &dyn CredentialStore,
    (issuer, redirect_uri): (&str, &str),
    client: &str,
) -> Result<()> {
    let key = key(issuer, redirect_uri);
    let Some((record, version)) = store.get(&key).await? else {
        return Ok(());
    };
    let Ok(mut kept) = from_secret::<Kept>(&record.value) else {
        return Ok(());
    };
    if kept.id != client || kept.away.take().is_none() {
        return Ok(());
    }
    let value = to_secret(&kept).map_err(|_| OAuthError::Metadata(String::new()))?;
    let record = Record { value, ..record };
    match store
        .put(&key, record, Precondition::Unchanged(version))
        .await
    {
        // Another sign-in began, or another client was registered.
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        put => put.map(drop),
    }
}

/// Deletes a registration, for example because the issuer no longer knows it.
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

/// A registration belongs to one issuer and one redirect URI.
fn key(issuer: &str, redirect_uri: &str) -> RecordKey {
    let mut hash = Sha256::new();
    for part in [issuer, redirect_uri] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let name = RecordName::new(hex(&hash.finalize())).expect("hex is a record's name");
    RecordKey::new(RecordKind::Client, name)
}

fn metadata(redirect_uris: &[&str], method: AuthMethod) -> serde_json::Value {
    json!({
        "client_name": NAME,
        "redirect_uris": redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method.as_str(),
    })
}

/// Returns the client metadata document that a gateway serves at `/oauth/client.json` below its public URL, so that
/// issuers know the gateway without a registration.
pub fn client_document(url: &PublicUrl) -> serde_json::Value {
    let mut document = metadata(&[&url.at(CALLBACK)], AuthMethod::None);
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
