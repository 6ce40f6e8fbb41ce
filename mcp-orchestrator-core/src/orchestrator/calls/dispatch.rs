//! Dispatches requests by method.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::fixed_arguments::changed_call;
use super::reply_hooks::ReplyHooks;
use crate::call::Reply;
use crate::catalog::ItemKinds;
use crate::error::{Error, ErrorKind, Result};
use crate::id::GatewayId;
use crate::jsonrpc::{Message, quote, span_of, text};
use crate::limits::{MAX_NAME_LEN, MAX_URI_LEN};
use crate::metrics::{GatewaySeries, MethodIndex};
use crate::orchestrator::authority::AllowedBy;
use crate::orchestrator::forward::ForwardedRequest;
use crate::orchestrator::forward::trace::{call_span, record_outcome};
use crate::orchestrator::params::{ambiguous, empty, expect_request, missing, no_resource, params};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::pool::Handle;
use crate::protocol::{Era, method};
use crate::router::{Certain, Item, ItemKind, Route, Target, may_be_cut};

impl Inner {
    /// Handles one request.
    pub(crate) async fn dispatch(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        headers: &HeaderMap,
    ) -> Result<Reply> {
        expect_request(message)?;
        if message.has_ambiguous_meta() {
            return Err(ambiguous(message));
        }
        let started = context.begun.unwrap_or_else(Instant::now);
        let name = MethodIndex::of(message.method());
        let span = call_span(context, message);
        self.trace_call(&span, context, message, headers);
        // Pinned here, because the wrapper would move the future, which is large.
        let reply = std::pin::pin!(self.by_method(context, message, headers));
        let reply = reply.instrument(span.clone()).await;
        record_outcome(&span, &reply);
        if let Err(error) = &reply {
            span.in_scope(|| tracing::debug!(kind = ?error.kind(), %error, "a call failed"));
        }
        let (took, method) = (started.elapsed(), (name, context.era()));
        match context.series.get() {
            Some(series) => self.metrics.call(series, method, took, &reply),
            None => {
                let series = self.unrouted_series(&context.gateway);
                self.metrics.call(&series, method, took, &reply);
            }
        }
        reply
    }

    /// Returns the metrics of calls that no server received.
    pub(crate) fn unrouted_series(&self, gateway: &GatewayId) -> Arc<GatewaySeries> {
        self.metrics
            .unrouted(gateway, || self.router.gateways().contains(gateway))
    }

    pub(crate) async fn by_method(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        headers: &HeaderMap,
    ) -> Result<Reply> {
        match message.method() {
            method::TOOLS_CALL => self.named(context, message, headers, ItemKind::Tool).await,
            // Rarer methods are boxed, so that they do not enlarge the future of a tool call.
            _ => Box::pin(self.by_rarer_method(context, message, headers)).await,
        }
    }

    async fn by_rarer_method(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        headers: &HeaderMap,
    ) -> Result<Reply> {
        let legacy = context.era() == Era::Legacy;
        match message.method() {
            method::PROMPTS_GET => {
                self.named(context, message, headers, ItemKind::Prompt)
                    .await
            }
            method::RESOURCES_READ => self.resource(context, message, headers).await,
            method::COMPLETE => self.complete(context, message).await,
            method::TOOLS_LIST => self.list(context, message, ItemKind::Tool).await,
            method::PROMPTS_LIST => self.list(context, message, ItemKind::Prompt).await,
            method::RESOURCES_LIST => self.list(context, message, ItemKind::Resource).await,
            method::RESOURCES_TEMPLATES_LIST => {
                self.list(context, message, ItemKind::Template).await
            }
            method::PING if legacy => Ok(empty(message)),
            method::SET_LEVEL if legacy => self.set_level(context, message).await,
            method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE if legacy => {
                self.subscribe(context, message.clone()).await
            }
            method::DISCOVER if !legacy => Ok(self.discover(context, message).await?),
            method::SKILLS_LIST => self.list_skills(context, message, headers).await,
            method::SKILLS_GET | method::DIRECTORY_READ => {
                self.skill(context, message, headers).await
            }
            method::TASKS_GET | method::TASKS_CANCEL => self.task(context, message.clone()).await,
            method::TASKS_RESULT if legacy => self.task(context, message.clone()).await,
            method::TASKS_UPDATE if !legacy => self.task(context, message.clone()).await,
            method::TASKS_LIST if legacy => self.list_tasks(context, message).await,
            method::INITIALIZE if legacy => Err(Error::new(
                ErrorKind::InvalidRequest,
                "this session is initialized already",
            )),
            other => self.unknown(context, other, message, headers).await,
        }
    }

    /// Handles a request for a tool or a prompt.
    async fn named(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        headers: &HeaderMap,
        kind: ItemKind,
    ) -> Result<Reply> {
        if message.is_ambiguous() {
            return Err(ambiguous(message));
        }
        let raw = message.name().ok_or_else(|| missing("name"))?;
        let name = text(raw).ok_or_else(|| missing("name"))?;
        let item = if kind == ItemKind::Tool {
            Item::Tool(&name)
        } else {
            Item::Prompt(&name)
        };
        let route = match self.routed(context, item).await {
            Ok(route) => route,
            Err(none) if kind == ItemKind::Tool => {
                let connect = Box::pin(self.connect(context, message, &name)).await;
                return connect.unwrap_or(Err(none));
            }
            Err(none) => return Err(none),
        };
        let mut work = ForwardedRequest {
            name: Some(Cow::Borrowed(&route.name)),
            headers: Cow::Borrowed(headers),
            judged: match kind {
                ItemKind::Tool => AllowedBy::Tool(item, &route),
                _ => AllowedBy::Item(item),
            },
            tool: (kind == ItemKind::Tool).then_some(&route),
            ..ForwardedRequest::plain(message)
        };
        if route.name != name {
            work.edits
                .replace(span_of(message.bytes(), raw), quote(&route.name));
        }
        if let Some(change) = &route.change {
            changed_call(context, message, (&route.name, change), &mut work.edits)?;
        }
        let sent = self.forward(context, &route.server, &route.credential, &work);
        match sent.await {
            Ok(mut answer) => {
                if answer.0.is_error() && kind == ItemKind::Tool {
                    answer = Box::pin(self.as_task(context, &route, &work, answer)).await?;
                }
                let (reply, handle) = answer;
                let reply = self.observe(context, &route, (message, &handle), reply);
                Ok(self.with_input(context, (message, headers), &handle, reply))
            }
            Err(error) => Box::pin(self.not_sent(context, &route, message, kind, error)).await,
        }
    }

    /// Returns the error of a request that was not sent; for a tool, with instructions about a missing credential.
    async fn not_sent(
        self: &Arc<Self>,
        context: &Context,
        route: &Route<'_>,
        message: &Message,
        kind: ItemKind,
        error: Error,
    ) -> Result<Reply> {
        let (server, rule) = (&route.server, &route.credential);
        if kind == ItemKind::Tool {
            let call = (message, &*route.name);
            return self.unconnected(context, (server, rule), call, error).await;
        }
        Err(self.with_auth_data(context, server, rule, error).await)
    }

    async fn resource(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
        headers: &HeaderMap,
    ) -> Result<Reply> {
        let head = params(message)?;
        let raw = head.uri.ok_or_else(|| missing("uri"))?.get();
        let uri = text(raw).ok_or_else(|| missing("uri"))?.into_owned();
        let route = self
            .routed(context, Item::Resource(&uri))
            .await
            .map_err(|error| no_resource(context, &uri, error))?;
        let sent = self.forward_uri(context, &route, (message, headers), (raw, &uri));
        let (reply, handle) = sent.await?;
        Ok(self.with_input(context, (message, headers), &handle, reply))
    }

    /// Forwards a request that names a resource by its URI. `raw` is that URI in the request, as JSON.
    pub(super) async fn forward_uri(
        self: &Arc<Self>,
        context: &Context,
        route: &Route<'_>,
        (message, headers): (&Message, &HeaderMap),
        (raw, uri): (&str, &str),
    ) -> Result<(Reply, Arc<Handle>)> {
        // Other requests do not repeat the URI in a header.
        let is_read = message.method() == method::RESOURCES_READ;
        let mut work = ForwardedRequest {
            name: is_read.then_some(Cow::Borrowed(&*route.name)),
            headers: Cow::Borrowed(headers),
            judged: AllowedBy::Item(Item::Resource(uri)),
            ..ForwardedRequest::plain(message)
        };
        if route.name != uri {
            work.edits
                .replace(span_of(message.bytes(), raw), quote(&route.name));
        }
        let (server, rule) = (&route.server, &route.credential);
        match self.forward(context, server, rule, &work).await {
            Ok((reply, handle)) => {
                let reply = self.observe(context, route, (message, &handle), reply);
                Ok((reply, handle))
            }
            Err(error) => Err(self.with_auth_data(context, server, rule, error).await),
        }
    }

    /// Asks the router.
    pub(crate) fn route<'a>(&'a self, context: &'a Context, item: Item<'a>) -> Result<Route<'a>> {
        check_length(item)?;
        let target = Target {
            gateway: &context.gateway,
            item,
            known: &self.catalog,
        };
        self.router
            .route(&context.principal, &target)
            .map_err(|none| Error::new(ErrorKind::NoRoute, none.to_string()))
    }

    /// Asks the router, and a second time if required lists were not in memory yet, as after a restart.
    pub(crate) async fn routed<'a>(
        self: &'a Arc<Self>,
        context: &'a Context,
        item: Item<'a>,
    ) -> Result<Route<'a>> {
        check_length(item)?;
        let found = self.route(context, item);
        let cut = matches!(item, Item::Tool(name) | Item::Prompt(name) if may_be_cut(name));
        if found.is_ok() && !cut && self.is_certain(context, item) {
            return found;
        }
        let kinds: ItemKinds<'_> = match item {
            Item::Tool(_) => &[ItemKind::Tool],
            Item::Prompt(_) => &[ItemKind::Prompt],
            Item::Resource(_) | Item::Server(_) => &[ItemKind::Resource, ItemKind::Template],
        };
        let alias_decides = !cut && matches!(item, Item::Tool(_) | Item::Prompt(_));
        if Box::pin(self.learned(context, alias_decides, kinds)).await {
            return self.route(context, item);
        }
        found
    }

    /// Returns `false` if the owner of a resource was concluded from what lists do not contain.
    fn is_certain(&self, context: &Context, item: Item<'_>) -> bool {
        let target = Target {
            gateway: &context.gateway,
            item,
            known: &Certain(&self.catalog),
        };
        !matches!(item, Item::Resource(_)) || self.router.route(&context.principal, &target).is_ok()
    }

    /// Loads the lists of the caller's gateway. Returns `false` if they were in memory, or if names identify their
    /// server.
    async fn learned(
        self: &Arc<Self>,
        context: &Context,
        alias_decides: bool,
        kinds: ItemKinds<'_>,
    ) -> bool {
        let Ok(view) = self.view(context) else {
            return false;
        };
        // If annotations decide, a name alone is not enough.
        let alias_decides = alias_decides && !view.entries.iter().any(|entry| entry.tools.asks());
        let known = |entry| self.catalog.knows(&context.principal, entry, kinds);
        if (view.prefixed && alias_decides) || view.entries.iter().all(known) {
            return false;
        }
        self.sources(context, &view, kinds).await;
        true
    }

    /// Returns the caller's view of the gateway.
    pub(crate) fn view(&self, context: &Context) -> Result<Arc<crate::router::View>> {
        let view = self.router.view(&context.principal, &context.gateway);
        view.map_err(|none| Error::new(ErrorKind::NoRoute, none.to_string()))
    }

    /// Remembers the resources in a result and seals the ids of its tasks.
    fn observe(
        self: &Arc<Self>,
        context: &Context,
        route: &Route<'_>,
        (request, handle): (&Message, &Arc<Handle>),
        reply: Reply,
    ) -> Reply {
        let hooks = || ReplyHooks::new(self, context, route, request, handle);
        match reply.into_ready() {
            Ok(response) if !ReplyHooks::concern(&response) => Reply::ready(response),
            Ok(response) => hooks().reply(Reply::ready(response)),
            Err(stream) => hooks().reply(stream),
        }
    }
}

/// Rejects names that are too long for any list, because each would be compared with all lists.
fn check_length(item: Item<'_>) -> Result<()> {
    let (what, length, most) = match item {
        Item::Tool(name) | Item::Prompt(name) => ("name", name.len(), MAX_NAME_LEN),
        Item::Resource(uri) => ("uri", uri.len(), MAX_URI_LEN),
        Item::Server(_) => return Ok(()),
    };
    if length <= most {
        return Ok(());
    }
    let text = format!("params.{what} has {length} bytes, and at most {most} are allowed");
    Err(Error::new(ErrorKind::InvalidParams, text))
}
