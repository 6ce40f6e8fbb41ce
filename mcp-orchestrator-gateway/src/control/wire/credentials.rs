//! Messages of the control endpoint about tokens, the catalog and installations.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use mcp_orchestrator_core::auth::TokenInfo;
use mcp_orchestrator_core::installer::{CatalogEntry, InstallationInfo, Renewing};
use mcp_orchestrator_core::orchestrator::Leftover;
use mcp_orchestrator_core::server::{Injection, OAuthGrant, ServerSpec};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::time::utc;

/// `POST /v1/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenRequest {
    /// The subject: `user/NAME`, `team/NAME` or `organization`.
    pub subject: String,
    /// Whether it allows administration.
    #[serde(default)]
    pub admin: bool,
    /// The only gateway that it allows; if absent, all gateways of its subject.
    pub gateway: Option<String>,
    /// Its lifetime in seconds; if absent, it is valid until revoked.
    pub expires_in: Option<u64>,
}

/// The response to `POST /v1/tokens`, the only one that contains the token.
#[derive(Debug, Serialize, Deserialize)]
pub struct TokenMade {
    /// The token.
    pub token: SecretText,
    /// The token's properties.
    pub info: TokenText,
    /// Why the token may not have the intended effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `GET /v1/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tokens {
    /// All tokens, oldest first.
    pub tokens: Vec<TokenText>,
}

/// The properties of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenText {
    /// The id to revoke it with.
    pub id: String,
    /// The subject: `user/NAME`, `team/NAME` or `organization`.
    pub subject: String,
    /// Whether it allows administration.
    pub admin: bool,
    /// The only gateway that it allows.
    pub gateway: Option<String>,
    /// When it was created, in UTC.
    pub created_at: String,
    /// When it expires, in UTC.
    pub expires_at: Option<String>,
    /// When it was last used, to the hour.
    pub last_used: Option<String>,
}

/// `GET /v1/catalog`: the servers that need credentials.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Catalog {
    /// Sorted by name.
    pub servers: Vec<CatalogText>,
}

/// A server that needs credentials.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CatalogText {
    /// Its name.
    pub server: String,
    /// Owners that the caller may install credentials for.
    pub owners: Vec<String>,
    /// The slots that it needs.
    pub slots: Vec<SlotText>,
    /// The slot with a token that is obtained by signing in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<String>,
    /// The only redirect URI that the server's client is registered with, if configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
}

/// A slot of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SlotText {
    /// Its name.
    pub name: String,
    /// A description for people.
    pub description: Option<String>,
    /// Whether the server needs it to work.
    pub required: bool,
    /// Whether the value is not a secret.
    pub plain: bool,
    /// The value to use if the field is empty.
    pub default: Option<String>,
    /// The allowed values; empty for any.
    pub choices: Vec<String>,
    /// How the server gets it: `env NAME`, `file NAME` or `header NAME`.
    pub reaches: String,
}

/// `POST /v1/installations`.
#[derive(Debug, Serialize, Deserialize)]
pub struct InstallRequest {
    /// The server's name.
    pub server: String,
    /// The owner: `me`, `team/NAME`, `organization` or `user/NAME`.
    pub owner: String,
    /// Values by slot.
    pub values: BTreeMap<String, SecretText>,
    /// Whether to replace the installed credential.
    #[serde(default)]
    pub rotate: bool,
    /// Whether to store the values without testing them.
    #[serde(default)]
    pub unchecked: bool,
}

/// `POST /v1/uninstall`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UninstallRequest {
    /// The server's name.
    pub server: String,
    /// The owner, as in [`InstallRequest`].
    pub owner: String,
}

/// The state of the instances of a removed installation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Uninstalled {
    /// Instances that still exist, each with the reason why the last attempt failed. Their removal is retried.
    #[serde(default)]
    pub pending: Vec<String>,
    /// Whether the backend has not reported its instances yet, for example because the cluster is unreachable.
    #[serde(default)]
    pub unknown: bool,
}

impl From<Leftover> for Uninstalled {
    fn from(left: Leftover) -> Self {
        Self {
            unknown: left == Leftover::Unknown,
            pending: match left {
                Leftover::Instances(pending) => pending,
                Leftover::Nothing | Leftover::Unknown => Vec::new(),
            },
        }
    }
}

/// `GET /v1/installations`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Installations {
    /// Sorted by server, then owner.
    pub installations: Vec<InstallationText>,
}

/// An installed credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstallationText {
    /// The server's name.
    pub server: String,
    /// The owner.
    pub owner: String,
    /// The revision of the values.
    pub revision: String,
    /// The slots with a value; the value is included only if it is not a secret.
    pub slots: BTreeMap<String, Option<String>>,
    /// When it was installed, in UTC.
    pub installed_at: Option<String>,
    /// The principal that installed it.
    pub installed_by: Option<String>,
    /// When it expires, in UTC.
    pub expires_at: Option<String>,
    /// Why it is no longer renewed, which means that its owner has to sign in again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Why it may not have the intended effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A secret that is transferred between a person and the store. It is serialized as it is; `Debug` hides it.
pub struct SecretText(pub SecretString);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(text.into()))
    }
}

impl From<TokenInfo> for TokenText {
    fn from(info: TokenInfo) -> Self {
        Self {
            id: info.id,
            subject: info.subject.to_string(),
            admin: info.admin,
            gateway: info.gateway.map(|gateway| gateway.to_string()),
            created_at: utc(info.created_at),
            expires_at: info.expires_at.map(utc),
            last_used: info.last_used.map(utc),
        }
    }
}

impl From<CatalogEntry> for CatalogText {
    fn from(entry: CatalogEntry) -> Self {
        let slots = entry.server.slots.iter().map(|slot| SlotText {
            name: slot.name.to_string(),
            description: slot.description.clone(),
            required: slot.required,
            plain: slot.form.plain,
            default: slot.form.default.clone(),
            choices: slot.form.choices.clone(),
            reaches: match &slot.inject {
                Injection::Env(name) => format!("env {name}"),
                Injection::File { name, .. } => format!("file {name}"),
                Injection::Header { name, .. } => format!("header {name}"),
            },
        });
        Self {
            server: entry.server.id.to_string(),
            owners: entry.owners.iter().map(ToString::to_string).collect(),
            slots: slots.collect(),
            oauth: by_sign_in(&entry.server),
            redirect_uri: entry
                .server
                .oauth
                .as_ref()
                .and_then(|oauth| oauth.redirect_uri.clone()),
        }
    }
}

/// Returns the slot with a token that a person obtains by signing in.
fn by_sign_in(server: &ServerSpec) -> Option<String> {
    let oauth = server.oauth.as_ref()?;
    let person = oauth.grant == OAuthGrant::AuthorizationCode;
    person.then(|| oauth.slot.to_string())
}

impl From<InstallationInfo> for InstallationText {
    fn from(info: InstallationInfo) -> Self {
        let slots = info.slots.into_iter();
        let time = |at: Option<SystemTime>| at.map(utc);
        Self {
            server: info.key.server.to_string(),
            owner: info.key.owner.to_string(),
            revision: info.revision.to_string(),
            slots: slots
                .map(|(slot, value)| (slot.to_string(), value))
                .collect(),
            installed_at: time(info.installed_at),
            installed_by: info.installed_by,
            expires_at: time(info.expires_at),
            ended: match info.renewing {
                Renewing::Ended(why) => Some(why),
                Renewing::Owner | Renewing::Itself => None,
            },
            warnings: Vec::new(),
        }
    }
}
