//! Discovers the issuer of a server and the scopes to request: from the server's challenge, its metadata, and the
//! issuer's metadata.

mod question;

use bytes::Bytes;
use http::Method;
use http::header::WWW_AUTHENTICATE;

use self::question::{QUESTION, absolute, canonical, question_headers};

use super::documents::{ResourceMetadata, covers, resource_places};
use super::errors::{OAuthError, shortened};
use crate::challenge::Challenge;
use crate::fetch::{Ask, FetchError, Fetcher, Redirects, Site, Trust};
use crate::limits::{MAX_AUTHORIZATION_SERVERS, MAX_FOUND_SCOPES};
use crate::oauth::{IssuerMetadata, document, issuer_places, origin, same_issuer};
use crate::server::{
    Launch, OAuthClient, OAuthGrant, OAuthResource, OAuthSpec, Remote, ServerSpec,
};

/// The result of a discovery.
#[derive(Clone, Debug)]
pub(super) struct Discovered {
    /// The resource to request tokens for. `None`: the `resource` parameter is omitted.
    pub(super) resource: Option<String>,
    /// The scopes that the server asks for.
    pub(super) scopes: Vec<String>,
    pub(super) issuer: IssuerMetadata,
    /// Whether the issuer is declared somewhere, rather than assumed by convention.
    pub(super) is_said: bool,
}

/// Returns the sites that the configuration names for a server. They are exempt from the address guard.
pub(super) fn free(server: &ServerSpec, oauth: &OAuthSpec) -> Vec<Site> {
    let mut sites = Vec::new();
    if let Launch::Remote(remote) = &server.launch {
        sites.extend(Site::of(&remote.url));
    }
    let endpoints = &oauth.endpoints;
    let named = [
        &oauth.issuer,
        &endpoints.metadata,
        &endpoints.authorization,
        &endpoints.token,
        &endpoints.registration,
    ];
    sites.extend(
        named
            .into_iter()
            .flatten()
            .filter_map(|named| Site::parse(named)),
    );
    sites
}

/// Discovers the issuer of a server. Configured values are not looked up, so a request that they make unnecessary
/// cannot fail.
pub(super) async fn discover(
    fetcher: &Fetcher,
    server: &ServerSpec,
    oauth: &OAuthSpec,
) -> Result<Discovered, OAuthError> {
    if oauth.has_secret() && !oauth.names_issuer() {
        return Err(OAuthError::SecretWithoutIssuer);
    }
    let free = free(server, oauth);
    let asker = Discovery {
        fetcher,
        free: &free,
    };
    let told = match &server.launch {
        Launch::Remote(remote) if needs_server(oauth) => asker.told(server, oauth, remote).await?,
        _ => ServerDeclaration::default(),
    };
    let (mut issuer, is_said) = asker.issuer(oauth, &told).await?;
    let endpoints = &oauth.endpoints;
    for (configured, found) in [
        (&endpoints.authorization, &mut issuer.authorization_endpoint),
        (&endpoints.token, &mut issuer.token_endpoint),
        (&endpoints.registration, &mut issuer.registration_endpoint),
    ] {
        if let Some(configured) = configured {
            *found = Some(configured.clone());
        }
    }
    if !oauth.names_issuer() && !issuer.knows_pkce() {
        return Err(OAuthError::NoPkce(shortened(&issuer.issuer)));
    }
    let mut scopes = told.scopes;
    scopes.truncate(MAX_FOUND_SCOPES);
    Ok(Discovered {
        resource: match &oauth.resource {
            OAuthResource::Found => told.resource,
            OAuthResource::Omitted => None,
            OAuthResource::Named(resource) => Some(resource.clone()),
        },
        scopes,
        issuer,
        is_said,
    })
}

/// Returns `true` if the server itself has to be asked.
fn needs_server(oauth: &OAuthSpec) -> bool {
    let all_said = oauth.resource != OAuthResource::Found && !oauth.scopes.is_empty();
    !(oauth.names_issuer() && all_said)
}

/// What a server declares about its tokens.
#[derive(Debug, Default)]
struct ServerDeclaration {
    resource: Option<String>,
    scopes: Vec<String>,
    issuers: Vec<String>,
    /// The issuer if the server declares none: the server's own origin (protocol revision 2025-03-26).
    convention: Option<String>,
    /// A failure during the look-up that may be temporary.
    trouble: Option<OAuthError>,
}

struct Discovery<'a> {
    fetcher: &'a Fetcher,
    free: &'a [Site],
}

impl Discovery<'_> {
    async fn told(
        &self,
        server: &ServerSpec,
        oauth: &OAuthSpec,
        remote: &Remote,
    ) -> Result<ServerDeclaration, OAuthError> {
        let challenge = self.challenge(server, oauth, remote).await;
        let challenge = challenge.unwrap_or_default();
        let mut told = ServerDeclaration {
            resource: Some(canonical(&remote.url)),
            convention: Some(origin(&remote.url)),
            scopes: challenge.scopes.clone(),
            ..ServerDeclaration::default()
        };
        match self.resource(remote, &challenge).await {
            Ok(metadata) => {
                if told.scopes.is_empty() {
                    told.scopes = metadata.scopes_supported;
                }
                told.issuers = metadata.authorization_servers;
                told.resource = metadata.resource.or(told.resource);
            }
            Err(None) => {}
            // The issuer is configured, whatever the server declares.
            Err(Some(error)) if oauth.names_issuer() => {
                tracing::debug!(server = %server.id, %error, "metadata of a server is passed over");
            }
            Err(Some(error @ OAuthError::Status { .. })) => told.trouble = Some(error),
            Err(Some(error)) => return Err(error),
        }
        Ok(told)
    }

    /// Returns the challenge that the server sends to a request without a token, if it sends one.
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
            tracing::debug!(server = %server.id, %error, "the probe of the server failed");
        });
        let answer = answer.ok()?;
        let values = answer.headers.get_all(WWW_AUTHENTICATE).iter();
        Challenge::parse(values.filter_map(|value| value.to_str().ok()))
    }

    /// Returns the server's metadata.
    ///
    /// # Errors
    /// `None` if the server has no metadata, otherwise the reason why it cannot be used.
    async fn resource(
        &self,
        remote: &Remote,
        challenge: &Challenge,
    ) -> Result<ResourceMetadata, Option<OAuthError>> {
        let named = challenge.resource_metadata.as_deref();
        let named = named.and_then(|place| absolute(place, &remote.url));
        let mut places: Vec<String> = named.clone().into_iter().collect();
        for place in resource_places(&remote.url) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let mut trouble: Option<OAuthError> = None;
        for place in places {
            let metadata = match self.document(&place, ResourceMetadata::read).await {
                Ok(metadata) => metadata,
                // A server that names a guarded address is not asked any further.
                Err(error @ OAuthError::Fetch(FetchError::Guarded { .. })) => {
                    return Err(Some(error));
                }
                Err(error) => {
                    // A missing document at one of several possible places is not an error.
                    let counts = match &error {
                        OAuthError::Status { status, .. } => *status >= 500,
                        OAuthError::Metadata(_) => false,
                        _ => true,
                    };
                    trouble = trouble.or(counts.then_some(error));
                    continue;
                }
            };
            let about = match &metadata.resource {
                Some(resource) => covers(resource, &remote.url),
                None => place.parse().ok().and_then(|uri| Site::of(&uri)) == Site::of(&remote.url),
            };
            if about {
                return Ok(metadata);
            }
            let resource = shortened(metadata.resource.as_deref().unwrap_or_default());
            trouble = Some(OAuthError::OtherResource(resource));
        }
        Err(trouble)
    }

    /// Returns the issuer's metadata, and whether the issuer is declared anywhere.
    async fn issuer(
        &self,
        oauth: &OAuthSpec,
        told: &ServerDeclaration,
    ) -> Result<(IssuerMetadata, bool), OAuthError> {
        if oauth.names_issuer() {
            return Ok((self.configured(oauth).await?, true));
        }
        let mut first = None;
        for issuer in told.issuers.iter().take(MAX_AUTHORIZATION_SERVERS) {
            match self.issuer_by_name(issuer).await {
                Ok(metadata) => return Ok((metadata, true)),
                Err(error) => first = first.or(Some(error)),
            }
        }
        if let Some(error) = first {
            return Err(error);
        }
        let origin = told.convention.as_deref().ok_or(OAuthError::NoIssuer)?;
        // A server of revision 2025-03-26 issues its tokens itself.
        match self.issuer_by_name(origin).await {
            Ok(metadata) => Ok((metadata, true)),
            Err(OAuthError::NoMetadata { .. }) => match &told.trouble {
                Some(OAuthError::Status { place, status }) => Err(OAuthError::Status {
                    place: place.clone(),
                    status: *status,
                }),
                _ => Ok((IssuerMetadata::by_convention(origin), false)),
            },
            Err(error) => Err(error),
        }
    }

    /// Returns the metadata of the configured issuer. It is trusted by its address, so its metadata may name it
    /// differently.
    async fn configured(&self, oauth: &OAuthSpec) -> Result<IssuerMetadata, OAuthError> {
        let endpoints = &oauth.endpoints;
        let addresses = [&oauth.issuer, &endpoints.metadata, &endpoints.token];
        let name = addresses.into_iter().flatten().next();
        let name = name.ok_or(OAuthError::NoIssuer)?;
        let has_client = endpoints.registration.is_some()
            || matches!(oauth.client, OAuthClient::Registered { .. });
        let page =
            oauth.grant == OAuthGrant::ClientCredentials || endpoints.authorization.is_some();
        let enough = page && endpoints.token.is_some();
        let bare = || IssuerMetadata {
            issuer: name.clone(),
            is_nameless: oauth.issuer.is_none(),
            ..IssuerMetadata::default()
        };
        if enough && has_client && endpoints.metadata.is_none() {
            return Ok(bare());
        }
        let places = match (&endpoints.metadata, &oauth.issuer) {
            (Some(place), _) => vec![place.clone()],
            (None, Some(issuer)) => issuer_places(issuer),
            (None, None) => return Ok(bare()),
        };
        let mut trouble = Vec::new();
        let mut other = None;
        for place in places {
            match self.document(&place, IssuerMetadata::read).await {
                Ok(metadata) if same_issuer(&metadata.issuer, name) => return Ok(metadata),
                Ok(metadata) => other = other.or(Some(metadata.named(name))),
                Err(error) => trouble.push(error),
            }
        }
        match other {
            Some(metadata) => Ok(metadata),
            None if enough => Ok(bare()),
            None => Err(no_metadata(name, trouble)),
        }
    }

    /// Returns the metadata of an issuer that the server names. Metadata that names another issuer is not accepted.
    async fn issuer_by_name(&self, issuer: &str) -> Result<IssuerMetadata, OAuthError> {
        let (mut trouble, mut other) = (Vec::new(), None);
        for place in issuer_places(issuer) {
            let metadata = match self.document(&place, IssuerMetadata::read).await {
                Ok(metadata) => metadata,
                Err(error) => {
                    trouble.push(error);
                    continue;
                }
            };
            match metadata.called(issuer) {
                Ok(metadata) => return Ok(metadata),
                Err(found) => other = other.or(Some(found)),
            }
        }
        match other {
            Some(found) => Err(OAuthError::OtherIssuer {
                issuer: shortened(issuer),
                found: shortened(&found),
            }),
            None => Err(no_metadata(issuer, trouble)),
        }
    }

    /// Fetches a document of the server or the issuer.
    async fn document<T>(
        &self,
        place: &str,
        read: fn(&[u8]) -> Option<T>,
    ) -> Result<T, OAuthError> {
        let access = (Trust::Told(self.free), Redirects::Follow);
        Ok(document(self.fetcher, place, access, read).await?)
    }
}

/// Builds the error for an issuer without metadata. A failure to connect or a server error takes precedence, since it
/// is more specific.
fn no_metadata(issuer: &str, trouble: Vec<OAuthError>) -> OAuthError {
    let mut words = Vec::new();
    for error in trouble {
        match error {
            OAuthError::Status { status: 404, .. } => {}
            error @ OAuthError::Fetch(_) => return error,
            OAuthError::Status { place, status } if status >= 500 => {
                return OAuthError::Status { place, status };
            }
            error => words.push(error.to_string()),
        }
    }
    OAuthError::NoMetadata {
        issuer: shortened(issuer),
        why: if words.is_empty() {
            String::new()
        } else {
            format!(": {}", words.join("; "))
        },
    }
}
