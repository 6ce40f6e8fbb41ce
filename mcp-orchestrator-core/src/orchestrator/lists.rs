//! Lists: answered from what is kept; what nobody knows yet is learned from the caller's own instance.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use futures_util::future::join_all;
use tokio::sync::watch;

use super::Inner;
use super::calls::{missing, params};
use super::context::Context;
use super::unconnected::word;
use crate::call::{Reply, own};
use crate::catalog::{Changed, Kept, ListKey, Source, fetch, page};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Message, quote, response, text};
use crate::pool::{Handle, Lease, Spec};
use crate::protocol::Era;
use crate::router::{ItemKind, View, ViewEntry};
use crate::runtime::Progress;

/// For how long a modern client may use a list, in milliseconds; changes are told to those who listen.
const TTL_MS: u32 = 5000;
const CURSOR: &str = "list cursor";

/// Lists that are being fetched.
pub(super) struct Refreshing {
    /// Becomes true when they are there.
    done: watch::Receiver<bool>,
    /// Whose.
    from: Arc<Handle>,
    /// Whose are to be fetched after that.
    again: Option<Arc<Handle>>,
}

impl Inner {
    /// One page of a gateway's list.
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
        let sources = self.sources(context, &view).await;
        if from == 0 && view.entries.len() > 1 && (!view.prefixed || kind == ItemKind::Resource) {
            self.warn_of_conflicts(&context.principal, &context.gateway);
        }
        let (mut result, next) = page(&sources, kind, view.prefixed, from);
        result.insert(0, '{');
        if let Some(next) = next {
            let cursor = self
                .key
                .seal(CURSOR, bound.as_bytes(), &(next as u64).to_be_bytes());
            result.push_str(&format!(",\"nextCursor\":{}", quote(&cursor)));
        }
        if context.era() == Era::Modern {
            result.push_str(&format!(
                ",\"resultType\":\"complete\",\"ttlMs\":{TTL_MS},\"cacheScope\":\"private\""
            ));
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

    /// What the servers of a view offer this caller. One that cannot be asked is left out.
    pub(super) async fn sources(self: &Arc<Self>, context: &Context, view: &View) -> Vec<Source> {
        let entries = view.entries.iter();
        let each = entries.map(|entry| self.source(context, entry, view.prefixed));
        join_all(each).await.into_iter().flatten().collect()
    }

    /// What is known already of the servers of a view; nothing is started for it.
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
            Some(Source {
                alias: entry.alias.clone(),
                tools: entry.tools.clone(),
                kept,
            })
        });
        join_all(each).await
    }

    /// The part of one server; where the caller has no credential for it, what to do about that.
    async fn source(
        self: &Arc<Self>,
        context: &Context,
        entry: &ViewEntry,
        prefixed: bool,
    ) -> Option<Source> {
        let spec = self.spec(&entry.server).ok()?;
        let credential = self.credential(context, &spec, &entry.credential, None);
        if let Err(error) = credential.await
            && word(error.kind()).is_some()
        {
            return self
                .without_credential(context, (entry, &spec), prefixed)
                .await;
        }
        let Some(kept) = self.lists_of(context, entry).await else {
            self.demanded(context, &spec, &entry.credential).await?;
            return self
                .without_credential(context, (entry, &spec), prefixed)
                .await;
        };
        Some(Source {
            alias: entry.alias.clone(),
            tools: entry.tools.clone(),
            kept,
        })
    }

    pub(super) async fn lists_of(
        self: &Arc<Self>,
        context: &Context,
        entry: &ViewEntry,
    ) -> Option<Arc<Kept>> {
        let spec = self.spec(&entry.server).ok()?;
        let credential = match self
            .credential(context, &spec, &entry.credential, None)
            .await
        {
            Ok(credential) => credential,
            Err(error) => {
                tracing::debug!(server = %entry.server, %error, "left out of a list");
                return None;
            }
        };
        self.lists_with(context, (entry, &spec), &credential).await
    }

    /// What a server lists with this credential: what is kept, else what its instance says in time.
    pub(super) async fn lists_with(
        self: &Arc<Self>,
        context: &Context,
        (entry, spec): (&ViewEntry, &Arc<Spec>),
        credential: &Arc<Credential>,
    ) -> Option<Arc<Kept>> {
        let key = ListKey::new(&entry.server, credential);
        if let Some(kept) = self.catalog.get(&key).await {
            return Some(kept);
        }
        let learned = async {
            let _turn = self.learning.acquire().await.ok()?;
            if self.catalog.peek(&key).is_none() {
                let scope = context.scope(&spec.server);
                let lease = self
                    .pool
                    .acquire(&entry.server, credential, scope, &Progress::unheard())
                    .await;
                let lease = lease.inspect_err(|error| {
                    tracing::warn!(server = %entry.server, %error, "left out of a list: it does not start");
                });
                self.refreshed(&key, &lease.ok()?).await;
            }
            self.catalog.peek(&key)
        };
        let limit = spec.server.limits.list_timeout;
        tokio::time::timeout(limit, learned).await.unwrap_or_else(|_| {
            tracing::warn!(server = %entry.server, "left out of a list: it is not ready in time");
            None
        })
    }

    /// Waits until the lists of a running instance were fetched, by whoever does it.
    async fn refreshed(self: &Arc<Self>, key: &ListKey, lease: &Lease) {
        let mut done = self.fetching(key, lease.handle(), false);
        // An error means that the one who fetched is gone; then there is nothing to wait for.
        let _ = done.wait_for(|done| *done).await;
    }

    /// Fetches the lists of a running instance, once at a time for each key. What is being fetched already may be older
    /// than what is asked for, so it is fetched once more then.
    pub(super) fn refresh(self: &Arc<Self>, key: &ListKey, handle: &Arc<Handle>) {
        self.fetching(key, handle, true);
    }

    fn refreshing(&self) -> MutexGuard<'_, HashMap<ListKey, Refreshing>> {
        let refreshing = self.refreshing.lock();
        refreshing.unwrap_or_else(PoisonError::into_inner)
    }

    /// When the lists of this instance are there; with `newer` such as they are from now on.
    fn fetching(
        self: &Arc<Self>,
        key: &ListKey,
        handle: &Arc<Handle>,
        newer: bool,
    ) -> watch::Receiver<bool> {
        let mut refreshing = self.refreshing();
        if let Some(running) = refreshing.get_mut(key) {
            if newer || !Arc::ptr_eq(&running.from, handle) {
                running.again = Some(Arc::clone(handle));
            }
            return running.done.clone();
        }
        let (sender, done) = watch::channel(false);
        let running = Refreshing {
            done: done.clone(),
            from: Arc::clone(handle),
            again: None,
        };
        refreshing.insert(key.clone(), running);
        let (inner, key, handle) = (Arc::clone(self), key.clone(), Arc::clone(handle));
        self.pool.tasks().spawn(async move {
            let mut next = Some(handle);
            while let Some(handle) = next {
                let changed = tokio::select! {
                    changed = inner.fetch(&key, &handle) => changed,
                    () = inner.pool.closing().cancelled() => None,
                };
                next = inner.next_to_fetch(&key);
                if let Some(changed) = changed.filter(|changed| changed.any()) {
                    let (server, owner) = (handle.key.server(), handle.key.owner());
                    inner.lists_changed(server, owner, changed);
                    inner.tell_conflicts(server);
                }
            }
            sender.send_replace(true);
        });
        done
    }

    /// Whose lists are to be fetched next, where that was asked for meanwhile; else the fetching is over.
    fn next_to_fetch(&self, key: &ListKey) -> Option<Arc<Handle>> {
        let mut refreshing = self.refreshing();
        let running = refreshing.get_mut(key)?;
        match running.again.take() {
            Some(handle) if !self.pool.closing().is_cancelled() => {
                running.from = Arc::clone(&handle);
                Some(handle)
            }
            _ => {
                refreshing.remove(key);
                None
            }
        }
    }

    async fn fetch(&self, key: &ListKey, handle: &Arc<Handle>) -> Option<Changed> {
        let lease = Lease::of(handle)?;
        match fetch(&lease).await {
            Ok(kept) => Some(self.catalog.keep(key, kept).await),
            Err(error) => {
                tracing::warn!(server = %handle.key.server(), %error, "lists cannot be fetched");
                None
            }
        }
    }
}
