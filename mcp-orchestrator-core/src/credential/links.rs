//! Links: by one of them somebody who called without a credential comes to the page where it is set up.
//!
//! A link is made for one principal, server and owner, counts for ten minutes and is used once. Its id is random and only
//! its hash is stored; it gives nothing to whoever finds it, since the page asks who opens it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{CredentialStore, Owner, Precondition, Record, RecordKey, RecordKind};
use crate::auth::{Directory, Principal};
use crate::error::Result;
use crate::id::{PrincipalId, RecordName, ServerId};
use crate::limits::{LINK_LIFETIME, MAX_LINKS};
use crate::seal::{hex, random_text};

/// One that ends sooner is not given out again.
const GOOD: Duration = Duration::from_mins(5);
/// Bytes of an id, and how long its text is.
const BYTES: usize = 32;
const LETTERS: usize = 43;

/// What a link is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkSubject {
    /// Who called, and who alone may use it.
    pub principal: PrincipalId,
    /// Which server.
    pub server: ServerId,
    /// Whose credential is to be set up.
    pub owner: Owner,
}

/// Why a link was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkReason {
    /// There is no credential.
    Missing,
    /// There is one that does not work any more.
    Expired,
}

/// A link that may still be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it is for.
    pub subject: LinkSubject,
    /// Why it was made.
    pub why: LinkReason,
    /// When it ends.
    pub expires_at: SystemTime,
}

/// What names a link in its address. It is not shown in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkId(String);

/// The links in a store, and the address of the page that takes them.
pub struct Links {
    store: Arc<dyn CredentialStore>,
    directory: Arc<Directory>,
    page: ArcSwapOption<String>,
    made: Mutex<HashMap<LinkSubject, Made>>,
}

/// A link that this process has made.
#[derive(Clone)]
struct Made {
    id: LinkId,
    link: Link,
}

/// Its members in JSON.
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
    /// The id that a text is; `None` for what never was one.
    pub fn parse(text: &str) -> Option<Self> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (text.len() == LETTERS && text.bytes().all(known)).then(|| Self(text.to_owned()))
    }

    /// Its text, for an address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Under what it is stored: its hash. It is random, so that a plain hash tells nothing of it.
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
    /// Those in this store, for whom this directory lets manage an owner's credentials. None is made before
    /// [`serve_at`](Self::serve_at) says where the page is.
    pub fn new(store: Arc<dyn CredentialStore>, directory: Arc<Directory>) -> Self {
        Self {
            store,
            directory,
            page: ArcSwapOption::empty(),
            made: Mutex::default(),
        }
    }

    /// From now on links lead to the gateway's pages at this address, which has no slash at its end.
    pub fn serve_at(&self, address: impl Into<String>) {
        self.page.store(Some(Arc::new(address.into())));
    }

    /// Where the gateway's pages are; `None` where it has none.
    pub fn page(&self) -> Option<Arc<String>> {
        self.page.load_full()
    }

    /// The address of a link for this principal; `None` where there is no page, where they may not set up what is the
    /// owner's, or where too many links are open. One that counts for a while is given out again.
    ///
    /// # Errors
    /// Where the store fails.
    ///
    /// # Cancel safety
    /// Dropping the future leaves at most a link that nobody knows, until it ends.
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

    /// The link of this id, while it counts; `None` for one that was used, has ended or never was.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn find(&self, id: &LinkId) -> Result<Option<Link>> {
        let found = self.store.get(&id.key()).await?;
        Ok(found.and_then(|(record, _)| Link::from_record(&record)))
    }

    /// Uses the link up; whether it was this call that did. Of several at once one does.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn take(&self, id: &LinkId) -> Result<bool> {
        self.made().retain(|_, made| made.id != *id);
        self.store.delete(&id.key(), Precondition::Any).await
    }

    /// One that was made before for the same, where it counts for a while and nobody has used it.
    async fn known(&self, subject: &LinkSubject, why: LinkReason) -> Result<Option<LinkId>> {
        let known = self.made().get(subject).cloned();
        let good =
            |made: &Made| made.link.why == why && made.link.expires_at > SystemTime::now() + GOOD;
        match known.filter(good) {
            // Another process on the store may have taken it.
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
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
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
