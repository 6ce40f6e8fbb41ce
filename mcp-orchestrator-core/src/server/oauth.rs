//! How a server's token is obtained by OAuth.

use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;
use tokio::time::Instant;

use super::{Injection, ServerSpec};
use crate::id::SlotName;
use crate::limits::OAUTH_DEMAND_TTL;

/// How the token of one slot is obtained by OAuth. It makes no other instance: what is obtained does.
#[derive(Clone, Debug)]
pub struct OAuthSpec {
    /// The slot that takes the access token.
    pub slot: SlotName,
    /// How it is obtained.
    pub grant: OAuthGrant,
    /// What it shall allow; empty: what the server asks for.
    pub scopes: Vec<String>,
    /// Who we are to the issuer.
    pub client: OAuthClient,
    /// How the client proves at the token endpoint that it is itself; `None`: as the issuer says that it takes it.
    pub client_auth: Option<ClientAuth>,
    /// Who gives it, by name (its `issuer`); `None`: whom the server names. It must be given for a server that we run, and
    /// for a client with a secret. Its metadata may call it otherwise.
    pub issuer: Option<String>,
    /// Addresses of the issuer that its metadata does not say, or says wrong.
    pub endpoints: OAuthEndpoints,
    /// What it is for (RFC 8707).
    pub resource: OAuthResource,
    /// Further parameters of the authorization request, as `access_type=offline`. They replace ours of the same name.
    pub authorization_parameters: Vec<(String, String)>,
    /// Further parameters of each token request, as `audience`.
    pub token_parameters: Vec<(String, SecretString)>,
    /// Where the issuer sends browsers back to, where the client is registered for one address alone: on this machine
    /// (`http://localhost:3118/callback`; without a port any will do), or an address that leads to the gateway's
    /// `/oauth/callback`.
    pub redirect_uri: Option<String>,
    /// When a token is needed.
    pub demand: OAuthDemand,
}

/// How a token is obtained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OAuthGrant {
    /// A person signs in and agrees.
    #[default]
    AuthorizationCode,
    /// By the client's own secret: no person is needed, and the token is the organization's.
    ClientCredentials,
}

/// Who we are to an issuer.
#[derive(Clone, Debug, Default)]
pub enum OAuthClient {
    /// What the issuer allows: the address of a document of ours, else a registration that is made once and kept.
    #[default]
    Found,
    /// A client that was registered before, or the address of a client metadata document.
    Registered {
        /// Its id.
        id: String,
        /// Its secret; `None`: it is a public client.
        secret: Option<SecretString>,
    },
}

/// How a client proves at the token endpoint that it is itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// By its id alone: a public client.
    None,
    /// `client_secret_basic`
    Basic,
    /// `client_secret_post`
    Post,
}

/// Addresses of an issuer. One that is given is used instead of what its metadata says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OAuthEndpoints {
    /// Its metadata, where it stands at none of the usual places.
    pub metadata: Option<String>,
    /// Where people sign in.
    pub authorization: Option<String>,
    /// Where codes become tokens.
    pub token: Option<String>,
    /// Where clients are registered.
    pub registration: Option<String>,
}

/// What a token is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OAuthResource {
    /// What the server calls itself.
    #[default]
    Found,
    /// It is not said: the parameter is left out.
    Omitted,
    /// This text, whatever the issuer takes.
    Named(String),
}

/// When a token is needed.
#[derive(Clone, Debug, Default)]
pub enum OAuthDemand {
    /// Always: nobody calls the server without one.
    #[default]
    Always,
    /// Once the server refuses a call without one and its metadata says who gives them: nothing in its entry says whether
    /// it wants any.
    IfRefused(Refusals),
}

/// When a server last refused a call without a token. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<Option<Refusal>>>);

#[derive(Clone, Debug)]
struct Refusal {
    at: Instant,
    /// Why nobody can sign in; `None`: a sign-in helps.
    obstacle: Option<String>,
}

impl Refusals {
    /// The server has refused a call without a token, and says who gives one.
    pub fn note(&self) {
        self.set(None);
    }

    /// The server has refused a call without a token, and nobody can sign in for it.
    pub fn note_obstacle(&self, why: String) {
        self.set(Some(why));
    }

    fn set(&self, obstacle: Option<String>) {
        let refusal = Refusal {
            at: Instant::now(),
            obstacle,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }

    fn recent(&self) -> Option<Refusal> {
        let last = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        last.filter(|last| last.at.elapsed() < OAUTH_DEMAND_TTL)
    }

    /// Whether it did so lately, and a sign-in helps. After a while it is asked anew, since it may have been opened.
    pub fn is_recent(&self) -> bool {
        self.recent().is_some_and(|last| last.obstacle.is_none())
    }

    /// Why nobody can sign in for a server that has refused a call lately.
    pub fn obstacle(&self) -> Option<String> {
        self.recent()?.obstacle
    }
}

impl OAuthSpec {
    /// The name of the slot where nothing is said.
    pub const SLOT: &str = "access_token";

    /// A person signs in; all else is found out from the server.
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

    /// Whether the one who gives tokens is named here, and not by the server: only then a secret of ours is sent there.
    pub fn names_issuer(&self) -> bool {
        let endpoints = &self.endpoints;
        let page = self.grant == OAuthGrant::ClientCredentials || endpoints.authorization.is_some();
        self.issuer.is_some() || endpoints.metadata.is_some() || (page && endpoints.token.is_some())
    }

    /// Whether a secret of ours goes to the token endpoint.
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

    /// The refusals of a server that may want a token or not; `None`: it always does.
    pub fn refusals(&self) -> Option<&Refusals> {
        match &self.demand {
            OAuthDemand::Always => None,
            OAuthDemand::IfRefused(refusals) => Some(refusals),
        }
    }
}

/// What becomes of a newer token while an instance runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenChange {
    /// It reaches the instance with the next request.
    Reaches,
    /// It reaches the instance after a while: a file is written anew.
    ReachesLate,
    /// It reaches the next instance alone: an environment never changes.
    Replaces,
}

impl ServerSpec {
    /// What becomes of a newer token while an instance runs. Where nothing says which slot takes the token, it may be any.
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

    /// The same server with a slot for a token that is obtained by OAuth and sent as `Authorization: Bearer`.
    ///
    /// # Panics
    /// Never: the slot's name is one.
    #[must_use]
    pub fn with_oauth(mut self) -> Self {
        let slot = token_slot(true);
        self.oauth = Some(OAuthSpec::new(slot.name.clone()));
        self.slots.push(slot);
        self
    }

    /// The same server with such a slot that stays empty until the server refuses a call without a token.
    ///
    /// # Panics
    /// Never: the slot's name is one.
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

    /// Whether somebody may install a credential for it, but none is needed as far as is known.
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
    /// As `Authorization: Bearer`.
    pub fn bearer() -> Self {
        Self::Header {
            name: "authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
        }
    }
}
