//! What is said over the control endpoint about tokens, the catalog and what is installed.

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
    /// For whom it speaks: `user/NAME`, `team/NAME` or `organization`.
    pub subject: String,
    /// Whether it may administer.
    #[serde(default)]
    pub admin: bool,
    /// The only gateway that it may use; absent: all that are its subject's.
    pub gateway: Option<String>,
    /// After so many seconds it ends; absent: when it is revoked.
    pub expires_in: Option<u64>,
}

/// What `POST /v1/tokens` answers: the token, told this once.
#[derive(Debug, Serialize, Deserialize)]
pub struct TokenMade {
    /// The token.
    pub token: SecretText,
    /// What is known of it.
    pub info: TokenText,
    /// Why it may not do what was meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `GET /v1/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tokens {
    /// The oldest first.
    pub tokens: Vec<TokenText>,
}

/// What is known of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenText {
    /// By which it is revoked.
    pub id: String,
    /// For whom it speaks.
    pub subject: String,
    /// Whether it may administer.
    pub admin: bool,
    /// The only gateway that it may use.
    pub gateway: Option<String>,
    /// When it was made, in UTC.
    pub created_at: String,
    /// When it ends.
    pub expires_at: Option<String>,
    /// When it was used last, to the hour.
    pub last_used: Option<String>,
}

/// `GET /v1/catalog`: the servers that need something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Catalog {
    /// By name.
    pub servers: Vec<CatalogText>,
}

/// A server that needs something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CatalogText {
    /// Its name.
    pub server: String,
    /// For whom the one who asks may install it.
    pub owners: Vec<String>,
    /// What it needs.
    pub slots: Vec<SlotText>,
    /// The slot whose value comes from signing in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<String>,
    /// The one address to which its issuer sends browsers back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
}

/// What a server needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SlotText {
    /// Its name.
    pub name: String,
    /// What a person is told.
    pub description: Option<String>,
    /// Whether the server does not work without it.
    pub required: bool,
    /// Whether it is no secret.
    pub plain: bool,
    /// What counts where nothing is given.
    pub default: Option<String>,
    /// What may be given; empty: anything.
    pub choices: Vec<String>,
    /// How the server gets it: `env NAME`, `file NAME` or `header NAME`.
    pub reaches: String,
}

/// `POST /v1/installations`.
#[derive(Debug, Serialize, Deserialize)]
pub struct InstallRequest {
    /// Which server.
    pub server: String,
    /// For whom: `me`, `team/NAME`, `organization` or `user/NAME`.
    pub owner: String,
    /// Values by slot.
    pub values: BTreeMap<String, SecretText>,
    /// Whether it takes the place of what is installed.
    #[serde(default)]
    pub rotate: bool,
    /// Whether it is stored without being tried.
    #[serde(default)]
    pub unchecked: bool,
}

/// `POST /v1/uninstall`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UninstallRequest {
    /// Which server.
    pub server: String,
    /// For whom, as in [`InstallRequest`].
    pub owner: String,
}

/// What became of the instances of an installation that was removed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Uninstalled {
    /// Instances that are not gone yet, each with why the last try failed. They are removed as soon as that is possible.
    #[serde(default)]
    pub pending: Vec<String>,
    /// Whether it is not known yet what there is, as while the cluster does not answer.
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
    /// By server, then owner.
    pub installations: Vec<InstallationText>,
}

/// What is installed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstallationText {
    /// Which server.
    pub server: String,
    /// For whom.
    pub owner: String,
    /// What was installed.
    pub revision: String,
    /// Which slots have a value; of those that are no secret the value.
    pub slots: BTreeMap<String, Option<String>>,
    /// When, in UTC.
    pub installed_at: Option<String>,
    /// By whom.
    pub installed_by: Option<String>,
    /// When it ends.
    pub expires_at: Option<String>,
    /// Why it is not renewed any more: then its owner has to sign in again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Why it may not do what was meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A secret on its way between a person and the store: it stands in this message and nowhere else.
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

/// The slot of a server whose value comes from somebody's signing in.
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
