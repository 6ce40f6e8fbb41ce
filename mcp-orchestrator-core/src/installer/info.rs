//! Who asks, and what they are shown. Nothing here holds a secret.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};

use crate::auth::{Principal, PrincipalKind};
use crate::credential::{InstallationKey, Known, Owner, Revision, StoredCredential};
use crate::error::{Error, ErrorKind, Result};
use crate::id::SlotName;
use crate::server::ServerSpec;

/// Setting under which it is kept when an installation was made, in seconds since 1970.
const INSTALLED_AT: &str = "installed_at";
/// Setting under which it is kept who made it.
const INSTALLED_BY: &str = "installed_by";

/// Who asks, and whether they administer.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Who.
    pub principal: Arc<Principal>,
    /// Whether they may do everything.
    pub admin: bool,
}

impl Actor {
    /// The owner that a text means for this one: `me`, `team/NAME`, `organization` or `user/NAME`.
    ///
    /// # Errors
    /// [`InvalidParams`](ErrorKind::InvalidParams) for any other text, and for `me` of who is no user.
    pub fn owner(&self, text: &str) -> Result<Owner> {
        let wrong = |text| Error::new(ErrorKind::InvalidParams, text);
        match (text, self.principal.kind) {
            ("me", PrincipalKind::User) => Ok(Owner::User(self.principal.id.clone())),
            ("me", _) => Err(wrong(
                "this token speaks for no user: name the owner".to_owned(),
            )),
            (text, _) => text.parse().map_err(|_| {
                wrong(format!(
                    "{text:?} is no owner: it is me, team/NAME or organization"
                ))
            }),
        }
    }

    /// Whether an owner's credential may be used by this one.
    pub(super) fn uses(&self, owner: &Owner) -> bool {
        let principal = &self.principal;
        match owner {
            Owner::User(user) => principal.kind == PrincipalKind::User && *user == principal.id,
            Owner::Team(team) => principal.teams.contains(team),
            Owner::Organization => true,
        }
    }
}

/// A server of the catalog as somebody sees it.
#[derive(Clone, Debug)]
pub struct CatalogEntry {
    /// The server.
    pub server: Arc<ServerSpec>,
    /// For whom this one may install it.
    pub owners: Vec<Owner>,
}

/// An installation as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallationInfo {
    /// Which server, and whose.
    pub key: InstallationKey,
    /// What was installed.
    pub revision: Revision,
    /// Which slots have a value; of plain slots the value.
    pub slots: BTreeMap<SlotName, Option<String>>,
    /// When it was installed or rotated.
    pub installed_at: Option<SystemTime>,
    /// By whom.
    pub installed_by: Option<String>,
    /// When it ends; one that is renewed has another end by then.
    pub expires_at: Option<SystemTime>,
    /// Who renews it.
    pub renewing: Renewing,
}

/// Who renews a credential when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewing {
    /// Its owner, who sets it up again.
    Owner,
    /// It is renewed by itself.
    Itself,
    /// It was, and cannot be any more, for this reason: its owner has to sign in again.
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

    /// One that the resolver knows, for which the store is not asked.
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

/// Which slots have a value; of plain slots the value.
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

/// What is kept beside the values.
pub(super) fn settings(actor: &Actor) -> BTreeMap<String, String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    BTreeMap::from([
        (INSTALLED_AT.to_owned(), now.to_string()),
        (INSTALLED_BY.to_owned(), actor.principal.id.to_string()),
    ])
}
