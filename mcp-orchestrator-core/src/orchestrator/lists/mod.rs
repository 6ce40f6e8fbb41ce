//! Lists, answered from the list cache; missing ones are fetched from the caller's own instance.

mod name_conflicts;
mod refresh;
mod refresh_interval;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;

use super::credentials::instructions::word;
use super::params::{missing, params};
use super::state::Inner;
use super::state::context::Context;
use crate::call::{Reply, own};
use crate::catalog::{ItemKinds, Kept, ListKey, Source, method_of, page};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Message, quote, response, text};
use crate::limits::MAX_INLINE_LIST_ITEMS;
use crate::pool::Spec;
use crate::protocol::Era;
use crate::router::{ItemKind, View, ViewEntry};
use crate::runtime::Progress;
use crate::session::Session;

/// The longest time for which a modern client may cache a list, in milliseconds. Clients with an open stream are notified
/// of changes.
pub(super) const MAX_LIST_TTL_MS: u64 = 5000;
/// The members of a merged list for modern clients, except the time for which it may be cached. What a gateway shows
/// depends on the caller, so only private caches may keep it, whatever its servers allow.
const MODERN: &str = concat!(
    r#","resultType":"complete","cacheScope":"private","#,
    r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"mcp-orchestrator","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}"#
);
const CURSOR: &str = "list cursor";

/// Time that a caller waits for a list after its last fetch failed.
const RETRY_WAIT: Duration = Duration::from_secs(1);

impl Inner {
    /// Returns one page of a gateway's list.
    pub(super) async fn list(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        kind: ItemKind,
    ) -> Result<Reply> {
        let cursor = params(message)?
            .cursor
            .map(|raw| text(raw.get()).ok_or_else(|| missing("cursor")))
            .transpose()?;
        let bound = format!("{} {} {kind:?}", context.principal.id, context.gateway);
        let from = match cursor {
            None => 0,
            Some(cursor) => self.open_cursor(&bound, &cursor)?,
        };
        let view = self.view(context)?;
        let mut sources = self.sources(context, &view, &[kind]).await;
        for source in &mut sources {
            let principal = &context.principal;
            source.renamed = self.catalog.renamed(principal, &view, source, kind);
        }
        // A server may declare a list that it does not have, which is known only after it was requested.
        if self.lacks(context, &view, kind).await {
            let text = format!("no server of this gateway has {}", method_of(kind));
            return Err(Error::new(ErrorKind::MethodNotFound, text));
        }
        let ttl_ms = if sources.len() < view.entries.len() {
            // A server is missing, and may come back.
            0
        } else {
            let times = sources.iter().map(|source| source.kept.ttl_ms(kind));
            times.fold(MAX_LIST_TTL_MS, u64::min)
        };
        let bare = !view.prefixed || matches!(kind, ItemKind::Resource | ItemKind::Template);
        if from == 0 && view.entries.len() > 1 && bare {
            self.warn_of_conflicts(&context.principal, &context.gateway);
        }
        if from == 0 && kind == ItemKind::Tool {
            self.warn_of_overrides(context, &view).await;
        }
        let (mut result, next) = written(sources, kind, view.prefixed, context.era(), from).await?;
        result.insert(0, '{');
        if let Some(next) = next {
            let cursor = self
                .key
                .seal(CURSOR, bound.as_bytes(), &(next as u64).to_be_bytes());
            result.push_str(&format!(",\"nextCursor\":{}", quote(&cursor)));
        }
        if context.era() == Era::Modern {
            result.push_str(&format!(",\"ttlMs\":{ttl_ms}"));
            result.push_str(MODERN);
        }
        result.push('}');
        Ok(Reply::ready(own(response(
            message.id().unwrap_or("null"),
            &result,
        ))))
    }

    fn open_cursor(&self, bound: &str, cursor: &str) -> Result<usize> {
        let opened = self.key.open(CURSOR, bound.as_bytes(), cursor);
        let from = opened
            .and_then(|bytes| <[u8; 8]>::try_from(bytes).ok())
            .map(u64::from_be_bytes);
        from.and_then(|from| usize::try_from(from).ok())
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidParams,
                    "params.cursor is not a cursor of this list",
                )
            })
    }

    /// Returns what the servers of a view offer this caller. Servers that cannot be queried are omitted.
    pub(super) async fn sources(
        self: &Arc<Self>,
        context: &Context,
        view: &View,
        kinds: ItemKinds<'_>,
    ) -> Vec<Source> {
        let entries = view.entries.iter();
        let each = entries.map(|entry| self.source(context, entry, view.prefixed, kinds));
        join_all(each).await.into_iter().flatten().collect()
    }

    /// Returns `true` if no server of the view has lists of this kind, and none was declared to the caller. The request
    /// then gets the error that such a server would return.
    async fn lacks(&self, context: &Context, view: &View, kind: ItemKind) -> bool {
        let told = |session: &Arc<Session>| session.possible.load(Ordering::Relaxed);
        if context.session.as_ref().is_some_and(told) || view.entries.is_empty() {
            return false;
        }
        let known = self.known(context, view).await;
        let lacks =
            |source: &Option<Source>| source.as_ref().is_some_and(|one| !one.kept.offers(kind));
        known.iter().all(lacks)
    }

    /// Waits briefly for servers of a view that have not described themselves yet; once for each server.
    pub(super) async fn meet(self: &Arc<Self>, context: &Context, view: &View) {
        let each = view.entries.iter().map(|entry| async move {
            let spec = self.spec(&entry.server).ok()?;
            let credential = self.credential(context, &spec, &entry.credential, None);
            let credential = credential.await.ok()?;
            let key = ListKey::new(&entry.server, &credential);
            if self.catalog.get(&key).await.is_some() {
                return None;
            }
            let until = self.first_met(&key)?;
            let learned = async {
                let lists = |kinds| self.lists_with(context, (entry, &spec), &credential, kinds);
                let kept = lists(&[]).await?;
                // Lists of a server without declarations are known only after they were fetched.
                let declares = |kind: &ItemKind| kept.declares(*kind);
                if !ItemKind::ALL.iter().any(declares) {
                    lists(&[ItemKind::Tool]).await;
                }
                Some(())
            };
            tokio::time::timeout_at(until, learned).await.ok()?
        });
        join_all(each).await;
    }

    /// Returns the cached lists of the servers of a view, without starting an instance.
    pub(super) async fn known(&self, context: &Context, view: &View) -> Vec<Option<Source>> {
        let each = view.entries.iter().map(|entry| async move {
            let spec = self.spec(&entry.server).ok()?;
            let credential = self
                .credential(context, &spec, &entry.credential, None)
                .await
                .ok()?;
            let kept = self
                .catalog
                .get(&ListKey::new(&entry.server, &credential))
                .await?;
            Some(Source::new(entry, kept))
        });
        join_all(each).await
    }

    /// Returns the part of one server. If the caller has no credential for it, the part explains what to do.
    async fn source(
        self: &Arc<Self>,
        context: &Context,
        entry: &ViewEntry,
        prefixed: bool,
        kinds: ItemKinds<'_>,
    ) -> Option<Source> {
        let spec = self.spec(&entry.server).ok()?;
        let credential = self.credential(context, &spec, &entry.credential, None);
        if let Err(error) = credential.await
            && word(error.kind()).is_some()
        {
            return self
                .without_credential(context, (entry, &spec), prefixed, kinds)
                .await;
        }
        let Some(kept) = self.lists_of(context, entry, kinds).await else {
            self.demanded(context, &spec, &entry.credential).await?;
            return self
                .without_credential(context, (entry, &spec), prefixed, kinds)
                .await;
        };
        Some(Source::new(entry, kept))
    }

    pub(super) async fn lists_of(
        self: &Arc<Self>,
        context: &Context,
        entry: &ViewEntry,
        kinds: ItemKinds<'_>,
    ) -> Option<Arc<Kept>> {
        let spec = self.spec(&entry.server).ok()?;
        let credential = match self
            .credential(context, &spec, &entry.credential, None)
            .await
        {
            Ok(credential) => credential,
            Err(error) => {
                tracing::debug!(server = %entry.server, %error, "omitted from a list");
                return None;
            }
        };
        self.lists_with(context, (entry, &spec), &credential, kinds)
            .await
    }

    /// Returns the lists of a server with this credential: cached, or fetched from its instance within the timeout.
    /// Lists of other kinds may still be missing.
    pub(super) async fn lists_with(
        self: &Arc<Self>,
        context: &Context,
        (entry, spec): (&ViewEntry, &Arc<Spec>),
        credential: &Arc<Credential>,
        kinds: ItemKinds<'_>,
    ) -> Option<Arc<Kept>> {
        let key = ListKey::new(&entry.server, credential);
        let kept = self.catalog.get(&key).await;
        if kept.as_ref().is_some_and(|kept| kept.has(kinds)) {
            return kept;
        }
        let list_timeout = spec.server.limits.list_timeout;
        let limit = match &kept {
            Some(kept) if !kept.awaits(kinds) => RETRY_WAIT.min(list_timeout),
            _ => list_timeout,
        };
        let learned = async {
            let turn = self.learning.acquire().await.ok()?;
            let kept = self.catalog.peek(&key);
            if kept.is_some_and(|kept| kept.has(kinds)) {
                return Some(());
            }
            let scope = context.scope(&spec.server);
            let lease = self
                .pool
                .acquire(&entry.server, credential, scope, &Progress::unheard())
                .await;
            let lease = lease.inspect_err(|error| {
                tracing::warn!(server = %entry.server, %error, "omitted from a list: failed to start");
            });
            drop(turn);
            self.came(&key, &lease.ok()?, kinds, list_timeout).await;
            Some(())
        };
        if tokio::time::timeout(limit, learned).await.is_err() {
            tracing::warn!(server = %entry.server, "a list is not ready in time: what has come is shown");
        }
        self.catalog.peek(&key)
    }
}

/// Serializes one page of a list; a long list on a blocking thread, so that it does not delay other tasks.
async fn written(
    sources: Vec<Source>,
    kind: ItemKind,
    prefixed: bool,
    era: Era,
    from: usize,
) -> Result<(String, Option<usize>)> {
    let items: usize = sources.iter().map(|one| one.kept.items(kind).len()).sum();
    if items <= MAX_INLINE_LIST_ITEMS {
        return Ok(page(&sources, kind, prefixed, era, from));
    }
    let writing = move || page(&sources, kind, prefixed, era, from);
    let written = tokio::task::spawn_blocking(writing).await;
    written.map_err(|_| Error::new(ErrorKind::Internal, "a list cannot be written"))
}
