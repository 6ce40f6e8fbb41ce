//! Who gives tokens for a server, and what it asks for: its challenge, its metadata, its issuer's metadata.

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE,
};
use http::{Method, StatusCode, Uri};
use serde::de::DeserializeOwned;

use super::errors::{OAuthError, shortened};
use super::metadata::{
    IssuerMetadata, ResourceMetadata, covers, issuer_places, origin, resource_places,
};
use crate::challenge::Challenge;
use crate::fetch::{Ask, Fetcher, Redirects, Site, Trust, shown};
use crate::server::{Injection, Launch, OAuthSpec, Remote, ServerSpec};

/// What was found out.
#[derive(Debug)]
pub(super) struct Discovered {
    /// What a token is for; `None`: that is not said.
    pub(super) resource: Option<String>,
    /// What the server asks for.
    pub(super) scopes: Vec<String>,
    pub(super) issuer: IssuerMetadata,
}

/// The addresses that the configuration names for a server: they are free.
pub(super) fn free(server: &ServerSpec, oauth: &OAuthSpec) -> Vec<Site> {
    let mut sites = Vec::new();
    if let Launch::Remote(remote) = &server.launch {
        sites.extend(Site::of(&remote.url));
    }
    sites.extend(oauth.issuer.as_deref().and_then(Site::parse));
    sites
}

/// Finds out who gives tokens for a server.
pub(super) async fn discover(
    fetcher: &Fetcher,
    server: &ServerSpec,
    oauth: &OAuthSpec,
) -> Result<Discovered, OAuthError> {
    let free = free(server, oauth);
    let asker = Asker {
        fetcher,
        free: &free,
    };
    let (mut resource, mut scopes, mut named) = (None, Vec::new(), None);
    let mut convention = None;
    if let Launch::Remote(remote) = &server.launch {
        let challenge = asker.challenge(server, oauth, remote).await;
        let challenge = challenge.unwrap_or_default();
        let metadata = asker.resource(remote, &challenge).await?;
        scopes = challenge.scopes;
        match metadata {
            Some(metadata) => {
                if scopes.is_empty() {
                    scopes = metadata.scopes_supported;
                }
                named = metadata.authorization_servers.into_iter().next();
                resource = Some(metadata.resource);
            }
            None => {
                resource = Some(canonical(&remote.url));
                convention = Some(origin(&remote.url));
            }
        }
    }
    let issuer = match (&oauth.issuer, named, convention) {
        (Some(issuer), ..) => asker.issuer(issuer).await?,
        (None, Some(issuer), _) => asker.issuer(&issuer).await?,
        (None, None, Some(origin)) => asker.issuer_by_convention(&origin).await?,
        (None, None, None) => return Err(OAuthError::NoIssuer),
    };
    if oauth.issuer.is_none() && !issuer.knows_pkce() {
        return Err(OAuthError::NoPkce(shortened(&issuer.issuer)));
    }
    Ok(Discovered {
        resource: oauth.resource.clone().or(resource),
        scopes,
        issuer,
    })
}

struct Asker<'a> {
    fetcher: &'a Fetcher,
    free: &'a [Site],
}

impl Asker<'_> {
    /// What the server demands of who comes without a token; `None`: it does not say.
    async fn challenge(
        &self,
        server: &ServerSpec,
        oauth: &OAuthSpec,
        remote: &Remote,
    ) -> Option<Challenge> {
        let place = remote.url.to_string();
        let ask = Ask {
            method: Method::POST,
            place: &place,
            headers: question_headers(server, oauth, remote),
            body: Bytes::from_static(QUESTION.as_bytes()),
            trust: Trust::Told(self.free),
            redirects: Redirects::Answer,
        };
        let answer = self.fetcher.ask(ask).await;
        let answer = answer.inspect_err(|error| {
            tracing::debug!(server = %server.id, %error, "it cannot be asked what it demands");
        });
        let answer = answer.ok()?;
        if !matches!(
            answer.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return None;
        }
        let values = answer.headers.get_all(WWW_AUTHENTICATE).iter();
        Challenge::parse(values.filter_map(|value| value.to_str().ok()))
    }

    /// The server's metadata; `None`: it has none.
    async fn resource(
        &self,
        remote: &Remote,
        challenge: &Challenge,
    ) -> Result<Option<ResourceMetadata>, OAuthError> {
        let places = match &challenge.resource_metadata {
            Some(place) => vec![place.clone()],
            None => resource_places(&remote.url),
        };
        for place in places {
            let Some(metadata) = self.document::<ResourceMetadata>(&place).await? else {
                continue;
            };
            if !covers(&metadata.resource, &remote.url) {
                return Err(OAuthError::OtherResource(shortened(&metadata.resource)));
            }
            return Ok(Some(metadata));
        }
        Ok(None)
    }

    async fn issuer(&self, issuer: &str) -> Result<IssuerMetadata, OAuthError> {
        let found = self.issuer_maybe(issuer).await?;
        found.ok_or_else(|| OAuthError::NoMetadata(shortened(issuer)))
    }

    /// A server of 2025-03-26 gives its tokens itself.
    async fn issuer_by_convention(&self, origin: &str) -> Result<IssuerMetadata, OAuthError> {
        let found = self.issuer_maybe(origin).await?;
        Ok(found.unwrap_or_else(|| IssuerMetadata::by_convention(origin)))
    }

    async fn issuer_maybe(&self, issuer: &str) -> Result<Option<IssuerMetadata>, OAuthError> {
        for place in issuer_places(issuer) {
            let Some(metadata) = self.document::<IssuerMetadata>(&place).await? else {
                continue;
            };
            // What a stranger says of an issuer counts for nothing. Compared as text, as RFC 8414 says; but the slash
            // of an empty path stands in some and not in others.
            if metadata.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
                return Err(OAuthError::OtherIssuer {
                    issuer: shortened(issuer),
                    found: shortened(&metadata.issuer),
                });
            }
            return Ok(Some(metadata));
        }
        Ok(None)
    }

    /// A document at this place; `None`: there is none.
    async fn document<T: DeserializeOwned>(&self, place: &str) -> Result<Option<T>, OAuthError> {
        let ask = Ask::get(place, Trust::Told(self.free), Redirects::Follow);
        let answer = self.fetcher.ask(ask).await?;
        if answer.status.is_client_error() {
            return Ok(None);
        }
        let place = shown(place).to_owned();
        if !answer.status.is_success() {
            let status = answer.status.as_u16();
            return Err(OAuthError::Status { place, status });
        }
        let document = serde_json::from_slice(&answer.body);
        document.map(Some).map_err(|_| OAuthError::Metadata(place))
    }
}

/// A question that changes nothing and that every protected server refuses without a token.
const QUESTION: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"#,
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientCapabilities":{},"#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"mcp-orchestrator","version":"1"}}}}"#
);

/// The headers of the question: those that are configured, never a credential.
fn question_headers(
    server: &ServerSpec,
    oauth: &OAuthSpec,
    remote: &Remote,
) -> Vec<(HeaderName, HeaderValue)> {
    let of_slot = server.slots.iter().find(|slot| slot.name == oauth.slot);
    let of_slot = of_slot.and_then(|slot| match &slot.inject {
        Injection::Header { name, .. } => HeaderName::from_bytes(name.as_bytes()).ok(),
        _ => None,
    });
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in &remote.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value.expose());
        if let (Ok(name), Ok(mut value)) = (name, value)
            && name != AUTHORIZATION
            && Some(&name) != of_slot.as_ref()
        {
            value.set_sensitive(true);
            headers.push((name, value));
        }
    }
    let fixed = [
        (ACCEPT, "application/json, text/event-stream"),
        (CONTENT_TYPE, "application/json"),
        (
            HeaderName::from_static("mcp-protocol-version"),
            "2026-07-28",
        ),
        (HeaderName::from_static("mcp-method"), "tools/list"),
    ];
    let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
    headers.extend(fixed);
    headers
}

/// A server's own address as a resource: without query and fragment.
fn canonical(server: &Uri) -> String {
    format!("{}{}", origin(server), server.path().trim_end_matches('/'))
}
