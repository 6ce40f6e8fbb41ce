//! Setup links: a caller without a credential opens one to reach the page where it is set up.
//!
//! A link is issued for one principal, server and owner, is valid for ten minutes and can be used once. Its ID is
//! random and only the hash is stored. The ID alone grants nothing, since the page authenticates its visitor.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, MutexGuard};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{CredentialStore, Owner, Precondition, Record, RecordKey, RecordKind};
use crate::auth::{Directory, Principal};
use crate::error::Result;
use crate::id::{PrincipalId, RecordName, ServerId};
use crate::limits::{LINK_LIFETIME, MAX_LINKS};
use crate::seal::{hex, random_text};

/// A link that expires sooner than this is not handed out again.
const GOOD: Duration = Duration::from_mins(5);
/// Length of an ID in bytes, and in characters when encoded.
const BYTES: usize = 32;
const LETTERS: usize = 43;

/// What a link is issued for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkSubject {
    /// The caller, and the only principal that may use the link.
    pub principal: PrincipalId,
    /// The server that needs a credential.
    pub server: ServerId,
    /// The owner of the credential to be set up.
    pub owner: Owner,
}

/// Why a link was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkReason {
    /// No credential is installed.
    Missing,
    /// The installed credential does not work any more.
    Expired,
}

/// A link that can still be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// What the link is issued for.
    pub subject: LinkSubject,
    /// Why the link was issued.
    pub why: LinkReason,
    /// When the link expires.
    pub expires_at: SystemTime,
}

/// The ID of a link in its URL. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkId(String);

/// Issues and redeems the links in a store, for the setup pages of a gateway.
pub struct Links {
    store: Arc<dyn CredentialStore>,
    directory: Arc<Directory>,
    page: ArcSwapOption<String>,
    made: Mutex<HashMap<LinkSubject, Made>>,
}

/// A link that this process issued.
#[derive(Clone)]
struct Made {
    id: LinkId,
    link: Link,
}

/// The stored JSON of a link.
#[derive(Serialize, Deserialize)]
struct Members {
    principal: PrincipalId,
    server: ServerId,
    owner: String,
    why: LinkReason,
    expires_at: SystemTime,
}

// === impl LinkId ===

impl LinkId {
    /// Parses an ID. Returns `None` if the text cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (text.len() == LETTERS && text.bytes().all(known)).then(|| Self(text.to_owned()))
    }

    /// Returns the ID as it appears in a URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key under which the link is stored: a hash of the ID. IDs are random, so an unsalted hash reveals
    /// nothing.
    fn key(&self) -> RecordKey {
        let hash: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        let name = RecordName::new(hex(&hash)).expect("hex digits are a name");
        RecordKey::new(RecordKind::Link, name)
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkId(..)")
    }
}

// === impl Link ===

impl Link {
    fn to_record(&self) -> Record {
        let members = Members {
            principal: self.subject.principal.clone(),
            server: self.subject.server.clone(),
            owner: self.subject.owner.to_string(),
            why: self.why,
            expires_at: self.expires_at,
        };
        let text = serde_json::to_string(&members).expect("texts and a time are JSON");
        Record::new(text).expiring(self.expires_at)
    }

    fn from_record(record: &Record) -> Option<Self> {
        let members: Members = serde_json::from_str(record.value.expose_secret()).ok()?;
        let subject = LinkSubject {
            principal: members.principal,
            server: members.server,
            owner: members.owner.parse().ok()?,
        };
        Some(Self {
            subject,
            why: members.why,
            expires_at: members.expires_at,
        })
    }
}

// === impl Links ===

impl Links {
    /// Creates the links of `store`. `directory` decides who may manage an owner's credentials. No link is issued
    /// before [`serve_at`](Self::serve_at) sets the URL of the pages.
    pub fn new(store: Arc<dyn CredentialStore>, directory: Arc<Directory>) -> Self {
        Self {
            store,
            directory,
            page: ArcSwapOption::empty(),
            made: Mutex::default(),
        }
    }

    /// Sets the base URL of the gateway's pages, without a trailing slash.
    pub fn serve_at(&self, address: impl Into<String>) {
        self.page.store(Some(Arc::new(address.into())));
    }

    /// Returns the base URL of the gateway's pages, or `None` if there are none.
    pub fn page(&self) -> Option<Arc<String>> {
        self.page.load_full()
    }

    /// Returns the URL of a link for this principal. Returns `None` if there are no pages, if the principal may not
    /// manage the owner's credentials, or if too many links are open. An open link that remains valid for a while is
    /// reused.
    ///
    /// # Errors
    /// If the store fails.
    ///
    /// # Cancel safety
    /// Dropping the future leaves at most one unused link in the store until it expires.
    pub async fn offer(
        &self,
        principal: &Principal,
        (server, owner): (&ServerId, &Owner),
        why: LinkReason,
    ) -> Result<Option<String>> {
        let Some(page) = self.page() else {
            return Ok(None);
        };
        let may = self.directory.manages(principal, owner) || self.directory.is_admin(principal);
        if !may {
            return Ok(None);
        }
        let subject = LinkSubject {
            principal: principal.id.clone(),
            server: server.clone(),
            owner: owner.clone(),
        };
        let id = match self.known(&subject, why).await? {
            Some(id) => Some(id),
            None => self.make(subject, why).await?,
        };
        Ok(id.map(|id| format!("{page}/link/{}", id.as_str())))
    }

    /// Returns the link with this ID, or `None` if it was used, has expired or never existed.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find(&self, id: &LinkId) -> Result<Option<Link>> {
        let found = self.store.get(&id.key()).await?;
        Ok(found.and_then(|(record, _)| Link::from_record(&record)))
    }

    /// Uses up the link. Returns `true` if this call did so; of several concurrent calls exactly one does.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn take(&self, id: &LinkId) -> Result<bool> {
        self.made().retain(|_, made| made.id != *id);
        self.store.delete(&id.key(), Precondition::Any).await
    }

    /// Returns a link issued earlier for the same subject, if it is unused and remains valid for a while.
    async fn known(&self, subject: &LinkSubject, why: LinkReason) -> Result<Option<LinkId>> {
        let known = self.made().get(subject).cloned();
        let good =
            |made: &Made| made.link.why == why && made.link.expires_at > SystemTime::now() + GOOD;
        match known.filter(good) {
            // Another process that shares the store may have used it.
            Some(made) if self.find(&made.id).await?.is_some() => Ok(Some(made.id)),
            _ => Ok(None),
        }
    }

    async fn make(&self, subject: LinkSubject, why: LinkReason) -> Result<Option<LinkId>> {
        let now = SystemTime::now();
        {
            let mut made = self.made();
            if made.len() >= MAX_LINKS {
                made.retain(|_, made| made.link.expires_at > now);
            }
            if made.len() >= MAX_LINKS {
                tracing::warn!(most = MAX_LINKS, "no link is made: too many are open");
                return Ok(None);
            }
        }
        let id = LinkId(random_text(BYTES));
        let link = Link {
            subject: subject.clone(),
            why,
            expires_at: now + LINK_LIFETIME,
        };
        let key = id.key();
        let put = self.store.put(&key, link.to_record(), Precondition::Absent);
        put.await?;
        let made = Made {
            id: id.clone(),
            link,
        };
        self.made().insert(subject, made);
        Ok(Some(id))
    }

    fn made(&self) -> MutexGuard<'_, HashMap<LinkSubject, Made>> {
        self.made.lock()
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links")
            .field("store", &self.store)
            .field("page", &self.page())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
