//! File entries of OAuth for servers.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::schema::value::Typed;
use crate::server::{ClientAuth, OAuthGrant};

/// OAuth for a server: on or off, or its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[non_exhaustive]
pub enum OAuthChoice {
    /// `true`: the server names the issuer of its tokens; `false`: no OAuth.
    Plain(bool),
    /// Settings that the server does not provide itself.
    Entry(Box<OAuthEntry>),
}

/// How the token of a server is obtained through OAuth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct OAuthEntry {
    /// The entry of the server's `credentials` that receives the token. Default: a server with a `url` gets it as
    /// `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// `authorization_code`: a user signs in; `client_credentials`: the client authenticates with its own secret, and
    /// the token belongs to the organization. Default: `authorization_code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantEntry>,
    /// Scopes to request. Default: those that the server asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Typed>>,
    /// ID of a client that is registered at the issuer, or the URL of a client metadata document. Default: a document
    /// that the gateway serves, else a dynamic registration, which is made once and kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Typed>,
    /// Secret of the client, preferably as a variable: `${SECRET}`. Requires a configured issuer: `issuer`,
    /// `metadata_url`, or the endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Typed>,
    /// How the client authenticates at the token endpoint. Default: as the issuer's metadata says, then the other
    /// methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<AuthMethodEntry>,
    /// Issuer of the tokens, for example `https://idp.example.com`. Its metadata may contain a different identifier.
    /// Required, unless `metadata_url` or the endpoints are set, for a server that the orchestrator runs, because such
    /// a server cannot name one. Default: the issuer that the server names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Typed>,
    /// URL of the issuer's metadata. Default: the well-known URLs (RFC 8414, OpenID Connect).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_url: Option<Typed>,
    /// URL at which users sign in. Default: taken from the issuer's metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<Typed>,
    /// URL of the token endpoint. Default: taken from the issuer's metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<Typed>,
    /// URL at which clients are registered. Default: taken from the issuer's metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<Typed>,
    /// The resource that the token is for, as a URL or in any form that the issuer accepts (`api://…`); `false` omits
    /// the parameter. Default: the identifier that the server gives for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceChoice>,
    /// Additional parameters of the URL at which users sign in, for example `access_type: offline`. They replace the
    /// gateway's own parameters of the same name. Parameters that only the gateway may set, such as `state`, are
    /// rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_parameters: Option<BTreeMap<String, Typed>>,
    /// Additional parameters of each token request, for example `audience`. They may be secret, so they require a
    /// configured issuer, as `client_secret` does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_parameters: Option<BTreeMap<String, Typed>>,
    /// Redirect URI of a client that is registered for a single one: a URL of the machine on which a user signs in with
    /// the command line (`http://localhost:3118/callback`; without a port, any free one), or one that leads to the
    /// gateway's `/oauth/callback`. Default: a free port of that machine, or the gateway's own page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<Typed>,
}

/// The resource that a token is for, or a switch for the parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[non_exhaustive]
pub enum ResourceChoice {
    /// `false`: the parameter is omitted; `true`: the identifier that the server gives for itself.
    Plain(bool),
    /// An identifier.
    Text(Typed),
}

/// How a client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuthMethodEntry {
    /// With its ID only.
    None,
    /// With ID and secret in a header.
    ClientSecretBasic,
    /// With ID and secret in the form.
    ClientSecretPost,
}

impl From<AuthMethodEntry> for ClientAuth {
    fn from(entry: AuthMethodEntry) -> Self {
        match entry {
            AuthMethodEntry::None => Self::None,
            AuthMethodEntry::ClientSecretBasic => Self::Basic,
            AuthMethodEntry::ClientSecretPost => Self::Post,
        }
    }
}

/// OAuth grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GrantEntry {
    /// A user signs in.
    AuthorizationCode,
    /// The client authenticates with its own secret.
    ClientCredentials,
}

impl From<GrantEntry> for OAuthGrant {
    fn from(entry: GrantEntry) -> Self {
        match entry {
            GrantEntry::AuthorizationCode => Self::AuthorizationCode,
            GrantEntry::ClientCredentials => Self::ClientCredentials,
        }
    }
}

impl<'de> Deserialize<'de> for OAuthChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoiceVisitor)
    }
}

struct ChoiceVisitor;

impl<'de> Visitor<'de> for ChoiceVisitor {
    type Value = OAuthChoice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a boolean or a mapping that says how the token is obtained")
    }

    fn visit_bool<E>(self, on: bool) -> Result<OAuthChoice, E> {
        Ok(OAuthChoice::Plain(on))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OAuthChoice, A::Error> {
        let entry = OAuthEntry::deserialize(MapAccessDeserializer::new(map))?;
        Ok(OAuthChoice::Entry(Box::new(entry)))
    }
}

impl<'de> Deserialize<'de> for ResourceChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ResourceVisitor)
    }
}

struct ResourceVisitor;

impl Visitor<'_> for ResourceVisitor {
    type Value = ResourceChoice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or false")
    }

    fn visit_bool<E>(self, said: bool) -> Result<ResourceChoice, E> {
        Ok(ResourceChoice::Plain(said))
    }

    fn visit_str<E>(self, text: &str) -> Result<ResourceChoice, E> {
        Ok(ResourceChoice::Text(Typed(text.to_owned())))
    }
}
