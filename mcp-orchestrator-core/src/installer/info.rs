//! The caller of an installer, and what it is shown. No type here exposes a secret.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};

use crate::auth::{Principal, PrincipalKind};
use crate::credential::{InstallationKey, Known, Owner, Revision, StoredCredential};
use crate::error::{Error, ErrorKind, Result};
use crate::id::SlotName;
use crate::server::ServerSpec;

/// The setting that holds when an installation was made, in seconds since 1970.
const INSTALLED_AT: &str = "installed_at";
/// The setting that holds who made the installation.
const INSTALLED_BY: &str = "installed_by";

/// A caller of the installer.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The calling principal.
    pub principal: Arc<Principal>,
    /// Whether the caller has admin rights.
    pub admin: bool,
}

impl Actor {
    /// Parses an owner from the caller's point of view: `me`, `team/NAME`, `organization` or `user/NAME`.
    ///
    /// # Errors
    /// [`InvalidParams`](ErrorKind::InvalidParams) for any other text, and for `me` if the caller is not a user.
    pub fn owner(&self, text: &str) -> Result<Owner> {
        let wrong = |text| Error::new(ErrorKind::InvalidParams, text);
        match (text, self.principal.kind) {
            ("me", PrincipalKind::User) => Ok(Owner::User(self.principal.id.clone())),
            ("me", _) => Err(wrong(
                "this token belongs to no user: name the owner".to_owned(),
            )),
            (text, _) => text.parse().map_err(|_| {
                wrong(format!(
                    "unknown owner {text:?}: name me, team/NAME or organization"
                ))
            }),
        }
    }

    /// Returns `true` if the caller may use this owner's credentials.
    pub(super) fn uses(&self, owner: &Owner) -> bool {
        let principal = &self.principal;
        match owner {
            Owner::User(user) => principal.kind == PrincipalKind::User && *user == principal.id,
            Owner::Team(team) => principal.teams.contains(team),
            Owner::Organization => true,
        }
    }
}

/// A server of the catalog as shown to one caller.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CatalogEntry {
    /// The server's catalog entry.
    pub server: Arc<ServerSpec>,
    /// The owners that the caller may install it for.
    pub owners: Vec<Owner>,
}

/// An installation without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstallationInfo {
    /// The server and the owner.
    pub key: InstallationKey,
    /// Identifies what was installed.
    pub revision: Revision,
    /// The slots that have a value, with the value itself for slots that are not secret.
    pub slots: BTreeMap<SlotName, Option<String>>,
    /// When it was installed or last rotated.
    pub installed_at: Option<SystemTime>,
    /// Who installed or last rotated it.
    pub installed_by: Option<String>,
    /// When the current values expire. Renewal replaces this time with a later one.
    pub expires_at: Option<SystemTime>,
    /// How it is renewed.
    pub renewing: Renewing,
}

/// How a credential is renewed when it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewing {
    /// Its owner installs it again.
    Owner,
    /// It is renewed automatically.
    Itself,
    /// It was renewed automatically and cannot be any more, for this reason. Its owner has to sign in again.
    Ended(String),
}

impl InstallationInfo {
    pub(super) fn new(
        key: InstallationKey,
        stored: &StoredCredential,
        spec: Option<&ServerSpec>,
    ) -> Self {
        let renewing = match stored.renewal.as_ref().map(|renewal| &renewal.ended) {
            None => Renewing::Owner,
            Some(None) => Renewing::Itself,
            Some(Some(why)) => Renewing::Ended(why.clone()),
        };
        Self {
            renewing,
            revision: stored.revision.clone(),
            slots: shown(&stored.values, spec),
            installed_at: installed_at(&stored.settings),
            installed_by: stored.settings.get(INSTALLED_BY).cloned(),
            expires_at: stored.expires_at,
            key,
        }
    }

    /// Builds the information from the resolver's snapshot, without asking the store.
    pub(super) fn known(key: InstallationKey, known: &Known, spec: Option<&ServerSpec>) -> Self {
        let credential = &known.credential;
        Self {
            renewing: match known.is_renewed() {
                Ok(false) => Renewing::Owner,
                Ok(true) => Renewing::Itself,
                Err(why) => Renewing::Ended(why.to_owned()),
            },
            revision: credential.revision.clone(),
            slots: shown(&credential.values, spec),
            installed_at: installed_at(&known.settings),
            installed_by: known.settings.get(INSTALLED_BY).cloned(),
            expires_at: credential.expires_at,
            key,
        }
    }
}

/// Returns the slots that have a value, with the value itself for slots that are not secret.
fn shown(
    values: &BTreeMap<SlotName, SecretString>,
    spec: Option<&ServerSpec>,
) -> BTreeMap<SlotName, Option<String>> {
    let known = spec.map(|spec| &spec.slots[..]).unwrap_or_default();
    let is_plain = |slot: &SlotName| {
        let mut known = known.iter();
        known.any(|known| known.name == *slot && known.form.plain)
    };
    let slots = values.iter().map(|(slot, value)| {
        let shown = is_plain(slot).then(|| value.expose_secret().to_owned());
        (slot.clone(), shown)
    });
    slots.collect()
}

fn installed_at(settings: &BTreeMap<String, String>) -> Option<SystemTime> {
    let at = settings.get(INSTALLED_AT)?.parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at))
}

/// Returns the settings stored with a new installation.
pub(super) fn settings(actor: &Actor) -> BTreeMap<String, String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    BTreeMap::from([
        (INSTALLED_AT.to_owned(), now.to_string()),
        (INSTALLED_BY.to_owned(), actor.principal.id.to_string()),
    ])
}
