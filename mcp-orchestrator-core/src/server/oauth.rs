//! OAuth settings of a server.

use std::sync::Arc;

use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::time::Instant;

use super::{Injection, ServerSpec};
use crate::id::SlotName;
use crate::limits::OAUTH_DEMAND_TTL;

/// How the token of one slot is obtained. Not part of the instance's key; the token's revision is.
#[derive(Clone, Debug)]
pub struct OAuthSpec {
    /// The slot that receives the access token.
    pub slot: SlotName,
    /// The OAuth grant.
    pub grant: OAuthGrant,
    /// Scopes to request; empty: the scopes that the server asks for.
    pub scopes: Vec<String>,
    /// The client to use at the issuer.
    pub client: OAuthClient,
    /// How the client authenticates at the token endpoint; `None`: as the issuer's metadata says.
    pub client_auth: Option<ClientAuth>,
    /// Issuer of the tokens; `None`: the issuer that the server names. Required for a server that the orchestrator runs
    /// and for a client with a secret. Its metadata may contain a different identifier.
    pub issuer: Option<String>,
    /// Endpoints of the issuer that its metadata omits or gets wrong.
    pub endpoints: OAuthEndpoints,
    /// The resource that the token is for (RFC 8707).
    pub resource: OAuthResource,
    /// Additional parameters of the authorization request, such as `access_type=offline`. They replace the gateway's
    /// own parameters of the same name.
    pub authorization_parameters: Vec<(String, String)>,
    /// Additional parameters of each token request, such as `audience`.
    pub token_parameters: Vec<(String, SecretString)>,
    /// Redirect URI of a client that is registered for a single one: a URL of this machine
    /// (`http://localhost:3118/callback`; without a port, any free one), or one that leads to the gateway's
    /// `/oauth/callback`.
    pub redirect_uri: Option<String>,
    /// Whether a token is required.
    pub demand: OAuthDemand,
}

/// OAuth grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OAuthGrant {
    /// A user signs in.
    #[default]
    AuthorizationCode,
    /// The client authenticates with its own secret. Needs no user; the token belongs to the organization.
    ClientCredentials,
}

/// The client to use at an issuer.
#[derive(Clone, Debug, Default)]
pub enum OAuthClient {
    /// What the issuer supports: the URL of a document that the gateway serves, else a registration that is made once
    /// and kept.
    #[default]
    Found,
    /// A client that is already registered, or the URL of a client metadata document.
    Registered {
        /// Client id.
        id: String,
        /// Client secret; `None` for a public client.
        secret: Option<SecretString>,
    },
}

/// How a client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// With its id only: a public client.
    None,
    /// `client_secret_basic`
    Basic,
    /// `client_secret_post`
    Post,
}

/// Endpoints of an issuer. Each takes precedence over the issuer's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OAuthEndpoints {
    /// URL of the metadata, if it is not at a well-known URL.
    pub metadata: Option<String>,
    /// Authorization endpoint.
    pub authorization: Option<String>,
    /// Token endpoint.
    pub token: Option<String>,
    /// Registration endpoint.
    pub registration: Option<String>,
}

/// The resource that a token is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OAuthResource {
    /// The identifier that the server gives for itself.
    #[default]
    Found,
    /// The parameter is omitted.
    Omitted,
    /// This identifier.
    Named(String),
}

/// Whether a token is required.
#[derive(Clone, Debug, Default)]
pub enum OAuthDemand {
    /// The server is never called without one.
    #[default]
    Always,
    /// The entry leaves it open. A token is required once the server has refused a call without one and its metadata
    /// names an issuer.
    IfRefused(Refusals),
}

/// The last refusal of a call without a token by a server. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<Option<Refusal>>>);

#[derive(Clone, Debug)]
struct Refusal {
    at: Instant,
    /// Why sign-in is impossible; `None`: a sign-in helps.
    obstacle: Option<String>,
}

impl Refusals {
    /// Records that the server refused a call without a token and names an issuer.
    pub fn note(&self) {
        self.set(None);
    }

    /// Records that the server refused a call without a token and sign-in is impossible.
    pub fn note_obstacle(&self, why: String) {
        self.set(Some(why));
    }

    fn set(&self, obstacle: Option<String>) {
        let refusal = Refusal {
            at: Instant::now(),
            obstacle,
        };
        *self.0.lock() = Some(refusal);
    }

    fn recent(&self) -> Option<Refusal> {
        let last = self.0.lock().clone();
        last.filter(|last| last.at.elapsed() < OAUTH_DEMAND_TTL)
    }

    /// Returns `true` if there was a recent refusal and a sign-in helps. A refusal expires, because the server may have
    /// been opened in the meantime.
    pub fn is_recent(&self) -> bool {
        self.recent().is_some_and(|last| last.obstacle.is_none())
    }

    /// Returns why sign-in is impossible at a server with a recent refusal.
    pub fn obstacle(&self) -> Option<String> {
        self.recent()?.obstacle
    }
}

impl OAuthSpec {
    /// Default name of the slot.
    pub const SLOT: &str = "access_token";

    /// Settings for a user who signs in. Everything else is discovered from the server.
    pub fn new(slot: SlotName) -> Self {
        Self {
            slot,
            grant: OAuthGrant::default(),
            scopes: Vec::new(),
            client: OAuthClient::default(),
            client_auth: None,
            issuer: None,
            endpoints: OAuthEndpoints::default(),
            resource: OAuthResource::default(),
            authorization_parameters: Vec::new(),
            token_parameters: Vec::new(),
            redirect_uri: None,
            demand: OAuthDemand::default(),
        }
    }

    /// Returns `true` if the issuer is configured here and not named by the server. Only then are secrets sent to it.
    pub fn names_issuer(&self) -> bool {
        let endpoints = &self.endpoints;
        let page = self.grant == OAuthGrant::ClientCredentials || endpoints.authorization.is_some();
        self.issuer.is_some() || endpoints.metadata.is_some() || (page && endpoints.token.is_some())
    }

    /// Returns `true` if a secret is sent to the token endpoint.
    pub fn has_secret(&self) -> bool {
        let client = matches!(
            &self.client,
            OAuthClient::Registered {
                secret: Some(_),
                ..
            }
        );
        client || !self.token_parameters.is_empty()
    }

    /// Returns the refusals of a server that may require a token; `None` if it always does.
    pub fn refusals(&self) -> Option<&Refusals> {
        match &self.demand {
            OAuthDemand::Always => None,
            OAuthDemand::IfRefused(refusals) => Some(refusals),
        }
    }
}

/// How a newer token reaches a running instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenChange {
    /// With the next request.
    Reaches,
    /// After a delay: a file is rewritten.
    ReachesLate,
    /// Only a new instance gets it: an environment never changes.
    Replaces,
}

impl ServerSpec {
    /// Returns how a newer token reaches a running instance. If the slot of the token is unknown, it may be any.
    pub fn token_change(&self) -> TokenChange {
        let token = self.oauth.as_ref().map(|oauth| &oauth.slot);
        let taking = self.slots.iter();
        let taking = taking.filter(|slot| token.is_none_or(|token| slot.name == *token));
        taking.fold(TokenChange::Reaches, |found, slot| match slot.inject {
            Injection::Env(_) => TokenChange::Replaces,
            Injection::File { .. } if found == TokenChange::Reaches => TokenChange::ReachesLate,
            Injection::File { .. } | Injection::Header { .. } => found,
        })
    }

    /// Adds a slot for a token that is obtained by OAuth and sent as `Authorization: Bearer`.
    ///
    /// # Panics
    /// Never: the fixed name is valid.
    #[must_use]
    pub fn with_oauth(mut self) -> Self {
        let slot = token_slot(true);
        self.oauth = Some(OAuthSpec::new(slot.name.clone()));
        self.slots.push(slot);
        self
    }

    /// Like [`with_oauth`](Self::with_oauth), but the slot stays empty until the server refuses a call without a token.
    ///
    /// # Panics
    /// Never: the fixed name is valid.
    #[must_use]
    pub fn with_oauth_if_refused(mut self) -> Self {
        let slot = token_slot(false);
        self.oauth = Some(OAuthSpec {
            demand: OAuthDemand::IfRefused(Refusals::default()),
            ..OAuthSpec::new(slot.name.clone())
        });
        self.slots.push(slot);
        self
    }

    /// Returns `true` if a credential can be installed for the server, but is not required as far as is known.
    pub fn is_open(&self) -> bool {
        let refusals = self.oauth.as_ref().and_then(OAuthSpec::refusals);
        refusals.is_some_and(|refusals| !refusals.is_recent())
    }
}

fn token_slot(required: bool) -> super::CredentialSlot {
    super::CredentialSlot {
        name: SlotName::new(OAuthSpec::SLOT).expect("the word is a slot's name"),
        description: None,
        required,
        inject: Injection::bearer(),
        form: super::SlotForm::default(),
    }
}

impl Injection {
    /// Injects a token as `Authorization: Bearer`.
    pub fn bearer() -> Self {
        Self::Header {
            name: "authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
        }
    }
}
