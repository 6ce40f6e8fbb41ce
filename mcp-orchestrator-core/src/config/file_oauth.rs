//! File entries of OAuth for servers, and of outbound connections.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::file::Typed;
use crate::server::{ClientAuth, OAuthGrant};

/// Whether a server speaks OAuth, or how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum OAuthChoice {
    /// `true`: it says itself where its tokens come from.
    Plain(bool),
    /// What it does not say itself.
    Entry(Box<OAuthEntry>),
}

/// How the token of a server is obtained by OAuth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OAuthEntry {
    /// Which of the server's `credentials` takes the token; absent: a server with a `url` gets it as
    /// `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// `authorization_code` (the default): somebody signs in; `client_credentials`: the client's own secret is enough, and
    /// the token is the organization's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantEntry>,
    /// What the token shall allow; absent: what the server asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Typed>>,
    /// Who we are to the issuer: a client that was registered there, or the address of a client metadata document;
    /// absent: a document of the gateway's own, else a registration that is made once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Typed>,
    /// The client's secret, best as a variable: `${SECRET}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Typed>,
    /// How the client proves at the token endpoint that it is itself; absent: as the issuer's metadata says, then in the
    /// other ways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<AuthMethodEntry>,
    /// Who gives the tokens, as `https://idp.example.com`; absent: whom the server names. A server that we run names
    /// nobody, so it is needed there; and with a `client_secret`, which goes to a configured issuer only. Its metadata may
    /// call it otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Typed>,
    /// Where the issuer's metadata stands, if at none of the usual places.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_url: Option<Typed>,
    /// Where people sign in; absent: as the issuer's metadata says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<Typed>,
    /// Where codes become tokens; absent: as the issuer's metadata says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<Typed>,
    /// Where clients are registered; absent: as the issuer's metadata says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<Typed>,
    /// What the token is for, as an address or whatever the issuer takes (`api://…`); `false`: it is left out; absent: what
    /// the server calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceChoice>,
    /// Further parameters of the address at which people sign in, as `access_type: offline`. They replace ours of the same
    /// name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_parameters: Option<BTreeMap<String, Typed>>,
    /// Further parameters of each request for a token, as `audience`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_parameters: Option<BTreeMap<String, Typed>>,
    /// Where browsers come back to, where the client is registered for one address: on the machine of who signs in by the
    /// command line (`http://localhost:3118/callback`; without a port any free one), or one that leads to the gateway's
    /// `/oauth/callback`; absent: a port of that machine, or the gateway's own page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<Typed>,
}

/// What a token is for, or that it is not said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum ResourceChoice {
    /// `false`: it is left out; `true`: what the server calls itself.
    Plain(bool),
    /// This text.
    Text(Typed),
}

/// How a client proves at the token endpoint that it is itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethodEntry {
    /// By its id alone.
    None,
    /// Id and secret in a header.
    ClientSecretBasic,
    /// Id and secret in the form.
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

/// How a token is obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantEntry {
    /// Somebody signs in.
    AuthorizationCode,
    /// By the client's own secret.
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

/// How connections leave the gateway, and what it may ask where somebody else names the address.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkEntry {
    /// Private addresses, and ones without TLS, that a server or an issuer may name all the same: origins
    /// (`https://idp.corp.example:8443`), hosts (`idp.internal`) or networks (`10.1.0.0/16`); absent: none. Addresses that
    /// stand in the configuration itself need no entry.
    pub allow_private: Option<Vec<Typed>>,
    /// The proxy for connections to remote servers and issuers: `http://`, `https://`, `socks5://` or `socks5h://`, or
    /// `none` for no proxy; absent: what `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say. Connections to this
    /// machine never use one.
    pub proxy: Option<Typed>,
    /// Hosts, domains and networks that are reached without `proxy`.
    pub no_proxy: Option<Vec<Typed>>,
    /// A PEM file of certificate authorities that are trusted beside those of the system.
    pub ca_file: Option<Typed>,
    /// Client certificates for remote servers and issuers that ask for one.
    pub client_certificates: Option<Vec<ClientCertificateEntry>>,
}

/// A client certificate and the hosts to which it is presented; no other host sees it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientCertificateEntry {
    /// Host names, or `*.example.com` for every name below `example.com`.
    pub hosts: Option<Vec<Typed>>,
    /// The file of the certificate and those between it and its authority, as PEM.
    pub certificate: Option<Typed>,
    /// The file of its private key, as PEM.
    pub key: Option<Typed>,
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
        f.write_str("true, or how the token is obtained,")
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
        f.write_str("what the token is for, or false,")
    }

    fn visit_bool<E>(self, said: bool) -> Result<ResourceChoice, E> {
        Ok(ResourceChoice::Plain(said))
    }

    fn visit_str<E>(self, text: &str) -> Result<ResourceChoice, E> {
        Ok(ResourceChoice::Text(Typed(text.to_owned())))
    }
}
