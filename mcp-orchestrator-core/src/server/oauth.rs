//! How a server's token is obtained by OAuth.

use secrecy::SecretString;

use super::{Injection, ServerSpec};
use crate::id::SlotName;

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
    /// Who gives it, by name (its `issuer`); `None`: whom the server names. It must be given for a server that we run.
    pub issuer: Option<String>,
    /// What it is for (RFC 8707); `None`: what the server calls itself.
    pub resource: Option<String>,
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
            issuer: None,
            resource: None,
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
        let name = SlotName::new(OAuthSpec::SLOT).expect("the word is a slot's name");
        self.slots.push(super::CredentialSlot {
            name: name.clone(),
            description: None,
            required: true,
            inject: Injection::bearer(),
            form: super::SlotForm::default(),
        });
        self.oauth = Some(OAuthSpec::new(name));
        self
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
