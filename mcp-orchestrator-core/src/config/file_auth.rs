//! File entries of authentication, issuers, TLS and limits.
//!
//! The doc comments become the descriptions in the JSON Schema.

use schemars::JsonSchema;
use serde::Deserialize;

use super::auth::FirstAdmin;
use super::file::Typed;
use crate::auth::Algorithm;

/// Who may call, and how they are told apart.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthEntry {
    /// Whether whoever reaches the gateway on a loopback address of its own machine is its one local user; absent: true
    /// where nothing else tells who calls, else false.
    pub local: Option<bool>,
    /// Whether tokens that were made by `token create` are taken; absent: false.
    pub tokens: Option<bool>,
    /// Where the token of an admin goes that is made at start where there is none; needs `tokens`. Absent: none is made.
    pub first_admin: Option<FirstAdminEntry>,
    /// Identity providers (OIDC issuers) whose tokens are taken.
    pub issuers: Option<Vec<IssuerEntry>>,
}

/// Where the token of a first admin goes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FirstAdminEntry {
    /// Into a Secret `NAME-first-admin`, where the gateway runs in a cluster under the name NAME.
    Secret,
}

impl From<FirstAdminEntry> for FirstAdmin {
    fn from(entry: FirstAdminEntry) -> Self {
        match entry {
            FirstAdminEntry::Secret => Self::Secret,
        }
    }
}

/// An identity provider whose tokens are taken.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerEntry {
    /// Its name, as its tokens write it: an address as `https://idp.example.com/realms/x`.
    pub issuer: Option<Typed>,
    /// Whom its tokens must be for, one of these; absent: the public address of the gateway that is called, as
    /// `https://mcp.example.com/mcp`.
    pub audience: Option<Vec<Typed>>,
    /// How its tokens may be signed; absent: by any key pair.
    pub algorithms: Option<Vec<AlgorithmEntry>>,
    /// Where its keys are; absent: the issuer's metadata (OIDC, else RFC 8414) says it.
    pub jwks_url: Option<Typed>,
    /// Which claims say who it is.
    pub claims: Option<ClaimsEntry>,
    /// What stands before the names of its users; needed where there are several issuers, so that a user of one is
    /// never taken for a user of another.
    pub prefix: Option<Typed>,
    /// Scopes that a token must have.
    pub scopes: Option<Vec<Typed>>,
    /// The gateway's own client there, for people who sign in at its pages.
    pub client_id: Option<Typed>,
    /// That client's secret.
    pub client_secret: Option<Typed>,
}

/// Which claims of a token say who it is. Dots lead into objects, as `resource_access.mcp.roles`; a claim whose own
/// name has dots is found too.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimsEntry {
    /// The user; absent: `sub`.
    pub user: Option<Typed>,
    /// The user's teams: a list of names, or one name; absent: tokens name no teams. With several issuers a team's name
    /// stands after the issuer's `prefix`, as a user's does.
    pub teams: Option<Typed>,
    /// Teams that this issuer may name as they are; absent: with one issuer all, with several none.
    pub team_names: Option<Vec<Typed>>,
}

/// How a token may be signed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum AlgorithmEntry {
    /// RSA, PKCS#1, SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA, PKCS#1, SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSA, PKCS#1, SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSA, PSS, SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSA, PSS, SHA-384.
    #[serde(rename = "PS384")]
    Ps384,
    /// RSA, PSS, SHA-512.
    #[serde(rename = "PS512")]
    Ps512,
    /// ECDSA on P-256, SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384, SHA-384.
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

/// TLS of the gateway's own listener. Both files are read again when they change.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsEntry {
    /// The file of the certificate and those between it and its authority, as PEM.
    pub certificate: Option<Typed>,
    /// The file of its private key, as PEM.
    pub key: Option<Typed>,
}

/// How much at once. What is over a limit is answered 429 with `Retry-After`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsEntry {
    /// Calls in flight of one principal; absent: 256.
    pub calls_per_principal: Option<LimitEntry>,
    /// Calls in flight to one server, of all principals together; absent: no limit.
    pub calls_per_server: Option<LimitEntry>,
    /// Sessions of legacy clients that one principal has open; absent: 200. Where it opens more, the one that was used
    /// least recently ends.
    pub sessions_per_principal: Option<LimitEntry>,
    /// Instances that run for one owner of credentials (a user, a team); absent: no limit. The organization's, which
    /// all share, are not counted.
    pub instances_per_owner: Option<LimitEntry>,
    /// Connections of the listener at once; absent: 16384, at most half of the file descriptors that the process may open.
    /// Where there are more, the one that is idle longest is closed.
    pub connections: Option<LimitEntry>,
    /// Connections at once from one IPv4 address or IPv6 /64 network; absent: 1024. Loopback addresses and trusted proxies
    /// are exempt.
    pub connections_per_address: Option<LimitEntry>,
}

/// A limit: a number, or `none` (or `off`) for no limit.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LimitEntry {
    /// At most so many.
    Count(usize),
    /// No limit.
    Off(NoLimit),
}

/// How it is written that there is no limit.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoLimit {
    /// `none`
    None,
    /// `off`
    Off,
}
