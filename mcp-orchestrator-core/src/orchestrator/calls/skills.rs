//! Skills (SEP-2640): the lists of all servers as one, and requests for a skill to its server.
//!
//! Entries are copied unchanged, so that digests and sizes stay those of the server. Only an address that another server
//! uses too is replaced.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::value::RawValue;

use super::reply_hooks::uris_of;
use crate::call::{Reply, own};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Members, Message, Splice, quote, request, response, span_of, text};
use crate::limits::{MAX_CURSOR_LEN, MAX_LIST_ITEMS, MAX_PAGE_BYTES, MAX_SKILL_PAGES};
use crate::orchestrator::forward::ForwardedRequest;
use crate::orchestrator::params::{missing, params};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::protocol::Era;
use crate::router::{Item, View, ViewEntry};

const CURSOR: &str = "skills cursor";
/// The file that identifies a skill.
const MANIFEST: &str = "SKILL.md";
/// Time for which a modern client may cache the list, in milliseconds, unless a server says less.
const TTL_MS: u64 = 5000;

/// One page of a server's skills.
struct SkillsPage {
    /// The address of each skill, and its entry.
    skills: Vec<(String, Box<RawValue>)>,
    next: Option<String>,
    ttl_ms: u64,
}

impl Inner {
    /// Answers `skills/list` with the skills of all servers, in the order of the configuration.
    pub(super) async fn list_skills(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        headers: &HeaderMap,
    ) -> Result<Reply> {
        let cursor = params(message)?
            .cursor
            .map(|raw| text(raw.get()).ok_or_else(|| missing("cursor")))
            .transpose()?;
        let view = self.view(context)?;
        let servers = self.skill_servers(context, &view).await;
        if let ([only], 1) = (&servers[..], view.entries.len()) {
            let work = ForwardedRequest {
                headers: Cow::Borrowed(headers),
                ..ForwardedRequest::plain(message)
            };
            let sent = self.forward(context, &only.server, &only.credential, &work);
            return Ok(sent.await?.0);
        }
        if servers.is_empty() {
            return self
                .unknown(context, message.method(), message, headers)
                .await;
        }
        let bound = format!("{} {}", context.principal.id, context.gateway);
        let from = match cursor {
            None => (0, None),
            Some(cursor) => self.open_skills_cursor(&bound, &cursor, &servers)?,
        };
        let merged = self
            .merged_skills(context, (&view, &servers), message, from)
            .await?;
        let mut result = format!("{{\"skills\":[{}]", merged.items);
        if let Some((at, cursor)) = merged.next {
            let place = format!("{}\n{}", servers[at].alias, cursor.unwrap_or_default());
            let sealed = self.key.seal(CURSOR, bound.as_bytes(), place.as_bytes());
            result.push_str(&format!(",\"nextCursor\":{}", quote(&sealed)));
        }
        if context.era() == Era::Modern {
            let ttl = merged.ttl_ms;
            result.push_str(&format!(
                ",\"resultType\":\"complete\",\"ttlMs\":{ttl},\"cacheScope\":\"private\""
            ));
        }
        result.push('}');
        let id = message.id().unwrap_or("null");
        Ok(Reply::ready(own(response(id, &result))))
    }

    /// Forwards a request for one skill, or a directory of one, to the server of its address.
    pub(super) async fn skill(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        headers: &HeaderMap,
    ) -> Result<Reply> {
        let raw = params(message)?.uri.ok_or_else(|| missing("uri"))?.get();
        let uri = text(raw).ok_or_else(|| missing("uri"))?.into_owned();
        let view = self.view(context)?;
        if self.skill_servers(context, &view).await.is_empty() {
            return self
                .unknown(context, message.method(), message, headers)
                .await;
        }
        let route = self.routed(context, Item::Resource(&uri)).await?;
        let sent = self.forward_uri(context, &route, (message, headers), (raw, &uri));
        Ok(sent.await?.0)
    }

    /// Returns the servers of a view that declare skills.
    async fn skill_servers<'v>(
        self: &Arc<Self>,
        context: &Context,
        view: &'v View,
    ) -> Vec<&'v ViewEntry> {
        self.meet(context, view).await;
        let known = self.known(context, view).await;
        let pairs = view.entries.iter().zip(known);
        let declaring = pairs.filter(|(_, source)| {
            let source = source.as_ref();
            source.is_some_and(|source| source.kept.has_skills())
        });
        declaring.map(|(entry, _)| entry).collect()
    }

    fn open_skills_cursor(
        &self,
        bound: &str,
        cursor: &str,
        servers: &[&ViewEntry],
    ) -> Result<(usize, Option<String>)> {
        let opened = self.key.open(CURSOR, bound.as_bytes(), cursor);
        let place = opened.and_then(|bytes| String::from_utf8(bytes).ok());
        let place = place.as_deref().and_then(|place| place.split_once('\n'));
        let found = place.and_then(|(alias, cursor)| {
            let at = servers
                .iter()
                .position(|entry| entry.alias.as_str() == alias)?;
            let cursor = (!cursor.is_empty()).then(|| cursor.to_owned());
            Some((at, cursor))
        });
        found.ok_or_else(|| {
            let text = "params.cursor is not a cursor of this list";
            Error::new(ErrorKind::InvalidParams, text)
        })
    }

    /// Reads pages of the servers from a position until the result is large enough. A server that fails is left out.
    async fn merged_skills(
        self: &Arc<Self>,
        context: &Context,
        (view, servers): (&View, &[&ViewEntry]),
        message: &Message,
        (mut at, mut cursor): (usize, Option<String>),
    ) -> Result<MergedSkills> {
        let mut merged = MergedSkills::default();
        let (mut failure, mut pages) = (None, 0);
        while let Some(entry) = servers.get(at) {
            if pages == MAX_SKILL_PAGES || merged.items.len() >= MAX_PAGE_BYTES {
                merged.next = Some((at, cursor));
                return Ok(merged);
            }
            let page = self.skills_page(context, entry, message, cursor.as_deref());
            match page.await {
                Ok(page) => {
                    pages += 1;
                    cursor.clone_from(&page.next);
                    self.take_skills(context, (view, entry), page, &mut merged)
                        .await;
                }
                Err(error) => {
                    tracing::warn!(server = %entry.server, %error, "omitted from the list of skills");
                    (failure, cursor) = (Some(error), None);
                }
            }
            at += usize::from(cursor.is_none());
        }
        match failure {
            Some(error) if pages == 0 => Err(error),
            _ => Ok(merged),
        }
    }

    /// Adds a page to the result. A skill at an address of another server is shown at one with the server's alias.
    async fn take_skills(
        &self,
        context: &Context,
        (view, entry): (&View, &ViewEntry),
        page: SkillsPage,
        merged: &mut MergedSkills,
    ) {
        let roots = page.skills.iter().filter_map(|(uri, _)| {
            let root = uri.strip_suffix(MANIFEST)?;
            root.ends_with('/').then(|| root.to_owned())
        });
        let (server, principal) = (&entry.server, &context.principal);
        self.catalog.carried(server, principal, roots.collect());
        merged.ttl_ms = merged.ttl_ms.min(page.ttl_ms);
        for (uri, raw) in page.skills {
            tokio::task::consume_budget().await;
            let mut edits = Splice::new();
            for (value, own) in uris_of(raw.get()) {
                let shown = self.catalog.shown_address(principal, view, server, &own);
                if let Some(shown) = shown {
                    edits.replace(span_of(raw.get().as_bytes(), value), quote(&shown));
                }
            }
            let shown = self.catalog.shown_address(principal, view, server, &uri);
            let shown = shown.unwrap_or(uri);
            // Each is compared with the templates of all servers.
            let route = self.route(context, Item::Resource(&shown));
            let is_own = route.is_ok_and(|route| route.server == *server);
            if !is_own || !merged.seen.insert(shown.clone()) {
                tracing::warn!(%server, uri = shown, "a skill is left out: it is listed already, or its address is another server's");
                continue;
            }
            if !merged.items.is_empty() {
                merged.items.push(',');
            }
            if edits.is_empty() {
                merged.items.push_str(raw.get());
            } else {
                let whole = Bytes::copy_from_slice(raw.get().as_bytes());
                let changed = edits.apply(&whole);
                merged.items.push_str(&String::from_utf8_lossy(&changed));
            }
        }
    }

    async fn skills_page(
        self: &Arc<Self>,
        context: &Context,
        entry: &ViewEntry,
        message: &Message,
        cursor: Option<&str>,
    ) -> Result<SkillsPage> {
        let limit = self.spec(&entry.server)?.server.limits.list_timeout;
        let (message, edits) = for_page(message, cursor);
        let work = ForwardedRequest {
            edits,
            ..ForwardedRequest::plain(&message)
        };
        let asked = async {
            let sent = self.forward(context, &entry.server, &entry.credential, &work);
            sent.await?.0.response().await
        };
        let failed = |text: &str| {
            Error::new(ErrorKind::Protocol, format!("skills/list: {text}"))
                .with_server(&entry.server)
        };
        let late = |_| failed("no response in time");
        let answer = tokio::time::timeout(limit, asked).await.map_err(late)??;
        if answer.kind() != Kind::Response {
            return Err(failed(answer.body().unwrap_or_default()));
        }
        SkillsPage::read(answer.body().unwrap_or_default())
            .ok_or_else(|| failed("the result has no list of skills"))
    }
}

#[derive(Debug)]
struct MergedSkills {
    items: String,
    seen: HashSet<String>,
    ttl_ms: u64,
    next: Option<(usize, Option<String>)>,
}

impl Default for MergedSkills {
    fn default() -> Self {
        Self {
            items: String::new(),
            seen: HashSet::new(),
            ttl_ms: TTL_MS,
            next: None,
        }
    }
}

impl SkillsPage {
    /// Reads up to `MAX_LIST_ITEMS` skills of a result. An entry without an address is left out.
    fn read(result: &str) -> Option<Self> {
        let members = Members::read(result)?;
        let items: Vec<Box<RawValue>> = serde_json::from_str(members.get("skills")?).ok()?;
        if items.len() > MAX_LIST_ITEMS {
            tracing::warn!(
                offered = items.len(),
                "a page of skills is too long: the rest is left out"
            );
        }
        let skills = items.into_iter().take(MAX_LIST_ITEMS).filter_map(|raw| {
            let uri = Members::read(raw.get())?.get("uri").and_then(text)?;
            Some((uri.into_owned(), raw))
        });
        let next = members.get("nextCursor").and_then(text);
        let next = next.filter(|cursor| !cursor.is_empty() && cursor.len() <= MAX_CURSOR_LEN);
        let ttl = members.get("ttlMs").and_then(|ttl| ttl.parse().ok());
        Some(Self {
            skills: skills.collect(),
            next: next.map(Cow::into_owned),
            ttl_ms: ttl.unwrap_or(u64::MAX),
        })
    }
}

/// Returns a request for a page of one server, with the changes to it.
fn for_page(message: &Message, cursor: Option<&str>) -> (Message, Splice) {
    let mut edits = Splice::new();
    let body = message.body_span().zip(message.body());
    let members = body.and_then(|(span, body)| Some((span, Members::read(body)?)));
    let Some((span, members)) = members else {
        let with = cursor.map(|cursor| format!("{{\"cursor\":{}}}", quote(cursor)));
        let id = message.id().unwrap_or("null");
        let asked = own(request(id, message.method(), with.as_deref()));
        return (asked, edits);
    };
    let whole = message.bytes();
    match (members.span(whole, "cursor"), cursor) {
        (Some(span), Some(cursor)) => drop(edits.replace(span, quote(cursor))),
        (Some(_), None) => drop(edits.remove_members(whole, &members, |key| key == "cursor")),
        (None, Some(cursor)) => drop(edits.insert_member(whole, &span, "cursor", &quote(cursor))),
        (None, None) => {}
    }
    (message.clone(), edits)
}
