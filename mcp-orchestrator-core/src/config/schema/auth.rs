//! File entries of authentication and issuers.
//!
//! The doc comments become the descriptions in the JSON Schema.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::auth::Algorithm;
use crate::config::schema::value::Typed;

/// Authentication of callers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AuthEntry {
    /// Authenticates every caller on a loopback address of the gateway's own machine as the one local user; requests
    /// that a proxy forwarded are excluded. Default: true if neither `tokens` nor `issuers` are set, otherwise false.
    pub local: Option<bool>,
    /// Accepts tokens that were created with `token create`. Default: false.
    pub tokens: Option<bool>,
    /// Where to put the token of a first admin, which is created at start if no admin token exists. Requires `tokens`.
    /// Default: no token is created.
    pub first_admin: Option<FirstAdminEntry>,
    /// Identity providers (OIDC issuers) with accepted tokens.
    pub issuers: Option<Vec<IssuerEntry>>,
}

/// Where to put the token of a first admin.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FirstAdminEntry {
    /// The Secret `NAME-first-admin`. Requires a gateway that runs in a cluster; NAME is its name there.
    Secret,
}

/// An identity provider with accepted tokens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct IssuerEntry {
    /// Issuer identifier, exactly as in the `iss` claim, for example `https://idp.example.com/realms/x`.
    pub issuer: Option<Typed>,
    /// Accepted audiences; the `aud` claim of a token must contain one of them. Default: the public URL of the gateway
    /// that is called, for example `https://mcp.example.com/mcp`.
    pub audience: Option<Vec<Typed>>,
    /// Accepted signature algorithms. Default: all supported ones.
    pub algorithms: Option<Vec<AlgorithmEntry>>,
    /// URL of the issuer's keys. Default: taken from the issuer's metadata (OIDC discovery, else RFC 8414).
    pub jwks_url: Option<Typed>,
    /// Claims that identify the user.
    pub claims: Option<ClaimsEntry>,
    /// Prefix of the names of its users. Several issuers need one each, none the beginning of another, so that a user
    /// of one issuer is never taken for a user of another.
    pub prefix: Option<Typed>,
    /// Scopes that a token must have, all of them.
    pub scopes: Option<Vec<Typed>>,
    /// ID of the gateway's own client at the issuer, for users who sign in on the gateway's pages.
    pub client_id: Option<Typed>,
    /// Secret of that client.
    pub client_secret: Option<Typed>,
}

/// Claims of a token that identify the user. A dot selects a member of an object, as in `resource_access.mcp.roles`; a
/// claim whose own name contains dots is found too.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ClaimsEntry {
    /// Claim that names the user. Default: `sub`.
    pub user: Option<Typed>,
    /// Claim that names the user's teams: a list of names, or one name. Default: tokens name no teams. With several
    /// issuers, the issuer's `prefix` is put before the name of a team, as for users.
    pub teams: Option<Typed>,
    /// Teams that this issuer may name without the prefix. Default: all with one issuer, none with several. Other names
    /// get the prefix, or are ignored if there is none.
    pub team_names: Option<Vec<Typed>>,
}

/// Signature algorithm of a token.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[non_exhaustive]
pub enum AlgorithmEntry {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSASSA-PSS with SHA-384.
    #[serde(rename = "PS384")]
    Ps384,
    /// RSASSA-PSS with SHA-512.
    #[serde(rename = "PS512")]
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384 with SHA-384.
    #[serde(rename = "ES384")]
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl From<AlgorithmEntry> for Algorithm {
    fn from(entry: AlgorithmEntry) -> Self {
        match entry {
            AlgorithmEntry::Rs256 => Self::Rs256,
            AlgorithmEntry::Rs384 => Self::Rs384,
            AlgorithmEntry::Rs512 => Self::Rs512,
            AlgorithmEntry::Ps256 => Self::Ps256,
            AlgorithmEntry::Ps384 => Self::Ps384,
            AlgorithmEntry::Ps512 => Self::Ps512,
            AlgorithmEntry::Es256 => Self::Es256,
            AlgorithmEntry::Es384 => Self::Es384,
            AlgorithmEntry::EdDsa => Self::EdDsa,
        }
    }
}
