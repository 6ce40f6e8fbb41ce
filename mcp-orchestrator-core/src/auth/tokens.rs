//! Tokens of our own: made for a user, a team or the organization, shown once, kept as hashes, taken back at once.

mod record;
mod table;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::record::{NewToken, TokenInfo};
use self::table::{Known, Table};
use super::{AccessRevision, Authenticated, Authenticator};
use crate::credential::{CredentialStore, Precondition, RecordKey, RecordKind, StoreChange};
use crate::error::{Error, ErrorKind, Result};

/// What every token begins with, so that it is known for ours, also by those who search for secrets.
const PREFIX: &str = "mcpo_";
/// How often it is written down that a token was used.
const USE_WRITTEN: Duration = Duration::from_hours(1);
/// Before a store that failed is asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// Knows who carries a token of ours. A token that is revoked is refused from then on, by every process on the store.
pub struct TokenAuthenticator {
    store: Arc<dyn CredentialStore>,
    table: Arc<Table>,
    tasks: TaskTracker,
    _following: DropGuard,
}

impl TokenAuthenticator {
    /// Reads the tokens of this store and follows it from then on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn open(store: Arc<dyn CredentialStore>, tasks: &TaskTracker) -> Result<Self> {
        let changes = store.watch();
        let (table, ended) = (Arc::new(Table::default()), CancellationToken::new());
        table.replace(&store.list(RecordKind::Token).await?);
        let following = follow(Arc::clone(&store), Arc::downgrade(&table), changes);
        tasks.spawn(ended.clone().run_until_cancelled_owned(following));
        Ok(Self {
            store,
            table,
            tasks: tasks.clone(),
            _following: ended.drop_guard(),
        })
    }

    /// Makes a token and answers it with what is known of it. It is told this once.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn create(&self, new: NewToken) -> Result<(SecretString, TokenInfo)> {
        let token = Self::invent();
        let info = self.adopt(&token, new).await?;
        Ok((token, info))
    }

    /// What may become a token: nobody has had it, and it counts for nothing yet.
    pub fn invent() -> SecretString {
        SecretString::from(format!("{PREFIX}{}", crate::seal::random_text(32)))
    }

    /// Makes a token of what was [invented](Self::invent), perhaps by a process that ended before it came to this.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) where it is one already, and where the store cannot be written.
    pub async fn adopt(&self, token: &SecretString, new: NewToken) -> Result<TokenInfo> {
        let hash = table::hash(token.expose_secret());
        let info = TokenInfo::new(&hash, new);
        let key = record::key(&hash);
        let record = info.to_record();
        let version = self.store.put(&key, record.clone(), Precondition::Absent);
        let version = version.await?;
        self.table.put(&key, &record, &version);
        Ok(info)
    }

    /// Advances each time a token is gone. Others whose changes may take access away advance it too.
    pub fn revision(&self) -> &AccessRevision {
        self.table.revision()
    }

    /// All tokens, the oldest first.
    pub fn list(&self) -> Vec<TokenInfo> {
        self.table.all()
    }

    /// Takes a token back, by its id.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) where no token has this id, and where the store cannot be written.
    pub async fn revoke(&self, id: &str) -> Result<TokenInfo> {
        let Some((hash, info)) = self.table.by_id(id) else {
            return Err(Error::new(
                ErrorKind::NoRoute,
                format!("there is no token {id}"),
            ));
        };
        let key = record::key(&hash);
        self.store.delete(&key, Precondition::Any).await?;
        self.table.remove(&key);
        Ok(info)
    }

    /// Writes down that a token was used, at most hourly.
    fn used(&self, hash: [u8; 32], known: &Arc<Known>) {
        let now = SystemTime::now();
        if !known.is_use_due(now, USE_WRITTEN) {
            return;
        }
        let (store, known) = (Arc::clone(&self.store), Arc::clone(known));
        self.tasks.spawn(async move {
            let mut info = known.info.clone();
            info.last_used = Some(now);
            let unchanged = Precondition::Unchanged(known.version.clone());
            let key = record::key(&hash);
            if let Err(error) = store.put(&key, info.to_record(), unchanged).await {
                tracing::debug!(token = %known.info.id, %error, "the use of a token was not written down");
            }
        });
    }
}

/// Follows the store for as long as the authenticator lives.
async fn follow(
    store: Arc<dyn CredentialStore>,
    table: Weak<Table>,
    mut changes: BoxStream<'static, Result<StoreChange>>,
) {
    while let Some(change) = changes.next().await {
        let Some(table) = table.upgrade() else { return };
        let taken = match change {
            Ok(StoreChange::Put(key)) if key.kind == RecordKind::Token => {
                take(&*store, &table, &key).await
            }
            Ok(StoreChange::Deleted(key)) if key.kind == RecordKind::Token => {
                table.remove(&key);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        let Err(error) = taken else { continue };
        tracing::warn!(%error, "tokens are read anew");
        // What was missed may be that a token was taken back: until it is known, none is taken.
        let mut listed = store.list(RecordKind::Token).await;
        while let Err(error) = &listed {
            tracing::error!(%error, "tokens cannot be read, so none is taken");
            table.replace(&[]);
            tokio::time::sleep(AGAIN).await;
            listed = store.list(RecordKind::Token).await;
        }
        table.replace(&listed.unwrap_or_default());
    }
}

async fn take(store: &dyn CredentialStore, table: &Table, key: &RecordKey) -> Result<()> {
    match store.get(key).await? {
        Some((record, version)) => table.put(key, &record, &version),
        None => table.remove(key),
    }
    Ok(())
}

impl fmt::Debug for TokenAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAuthenticator")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Authenticator for TokenAuthenticator {
    async fn authenticate(&self, parts: &http::request::Parts) -> Result<Option<Authenticated>> {
        let header = parts.headers.get(http::header::AUTHORIZATION);
        let Some(token) = header.and_then(|value| bearer(value.as_bytes())) else {
            return Ok(None);
        };
        let refused = |text| Err(Error::new(ErrorKind::Unauthenticated, text));
        let hash = table::hash(token);
        let Some(known) = self.table.find(&hash) else {
            return refused("invalid, expired or revoked token");
        };
        if known.info.is_over(SystemTime::now()) {
            return refused("invalid, expired or revoked token");
        }
        self.used(hash, &known);
        let mut who = Authenticated::new(Arc::clone(&known.principal));
        who.admin = known.info.admin;
        who.gateway.clone_from(&known.info.gateway);
        who.expires_at = known.info.expires_at;
        Ok(Some(who))
    }
}

/// The token of a header, where it is one of ours. The scheme's case does not count (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && token.starts_with(PREFIX)).then_some(token)
}

#[cfg(test)]
mod tests;
