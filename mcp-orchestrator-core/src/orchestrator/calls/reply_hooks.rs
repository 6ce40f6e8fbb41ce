//! Inspects the replies of a call as they arrive: resources that they name, and tasks that they create.

use std::sync::{Arc, LazyLock};

use futures_util::StreamExt as _;
use memchr::memmem::Finder;
use serde_json::value::RawValue;

use crate::auth::Principal;
use crate::call::{Reply, ReplyItem};
use crate::id::{GatewayId, ServerId};
use crate::jsonrpc::{Kind, Message, ParamsHead, Splice, quote, span_of, text};
use crate::limits::{MAX_CARRIED_PER_RESULT, MAX_URI_LEN};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::orchestrator::tasks::{SealScope, TASK_ID, TaskCreation};
use crate::pool::Handle;
use crate::protocol::method;
use crate::router::{Route, View, may_be_changed};

/// Inspects the replies of one call.
pub(crate) struct ReplyHooks {
    inner: Arc<Inner>,
    principal: Arc<Principal>,
    server: ServerId,
    seal_scope: SealScope,
    makes: TaskCreation,
    gateway: GatewayId,
    /// The resource that a request reads: its own address, and the one that the client used.
    read: Option<(String, String)>,
}

impl ReplyHooks {
    pub(crate) fn new(
        inner: &Arc<Inner>,
        context: &Context,
        route: &Route<'_>,
        request: &Message,
        handle: &Arc<Handle>,
    ) -> Self {
        let (principal, server) = (Arc::clone(&context.principal), route.server.clone());
        Self {
            inner: Arc::clone(inner),
            principal,
            server,
            seal_scope: SealScope::of(context, handle),
            makes: TaskCreation::of(context.era(), request),
            gateway: context.gateway.clone(),
            read: read_of(request, &route.name),
        }
    }

    /// Returns `true` for a message that names a resource or a task, and for an error, which may name an elicitation.
    /// Nearly all results name neither.
    pub(crate) fn concern(message: &Message) -> bool {
        if message.kind() == Kind::Error {
            return true;
        }
        let body = message.body_span().map(|span| &message.bytes()[span]);
        body.is_some_and(|body| URI_KEY_END.find(body).is_some() || TASK_ID.find(body).is_some())
    }

    /// Returns the reply with its task ids sealed.
    pub(crate) fn reply(self, reply: Reply) -> Reply {
        match reply.into_ready() {
            Ok(response) => Reply::ready(self.message(*response)),
            Err(stream) => {
                let items = stream.filter_map(move |item| std::future::ready(self.item(item)));
                Reply::stream(items.boxed())
            }
        }
    }

    fn item(&self, item: ReplyItem) -> Option<ReplyItem> {
        Some(match item {
            ReplyItem::Response(message) => ReplyItem::Response(self.message(message)),
            ReplyItem::Notification(message) if !self.inner.is_for(&self.seal_scope, &message) => {
                return None;
            }
            ReplyItem::Notification(message) => ReplyItem::Notification(self.message(message)),
            ReplyItem::Request(mut request) => {
                request.message = self.message(request.message);
                ReplyItem::Request(request)
            }
            failed @ ReplyItem::Failed(_) => failed,
        })
    }

    fn message(&self, message: Message) -> Message {
        let message = match message.kind() {
            Kind::Response | Kind::Error => self.resources(message),
            _ => message,
        };
        if message.kind() == Kind::Error {
            self.seal_scope.note_elicitations(&message);
        }
        self.inner.seal_tasks(&self.seal_scope, self.makes, message)
    }

    /// Remembers the resources that a result names, and gives clients the addresses that they see of them.
    fn resources(&self, message: Message) -> Message {
        let body = message.body_span().map(|span| &message.bytes()[span]);
        // Nearly all results name none, so the text is read only if one may be there.
        if body.is_none_or(|body| URI_KEY_END.find(body).is_none()) {
            return message;
        }
        let found = message.body().map(uris_of).unwrap_or_default();
        let view = self.inner.router.view(&self.principal, &self.gateway);
        // The owner of a resource is known if there is only one server, except for an address from when there were more.
        let Ok(view) = view.map_err(drop) else {
            return message;
        };
        let mut edits = Splice::new();
        for (raw, uri) in found.iter().filter(|(_, uri)| may_be_changed(uri)) {
            if let Some(shown) = self.shown(&view, uri) {
                edits.replace(span_of(message.bytes(), raw), quote(&shown));
            }
        }
        if view.entries.len() > 1 && message.kind() == Kind::Response {
            let uris = found.into_iter().map(|(_, uri)| uri);
            let uris: Vec<String> = uris.take(MAX_CARRIED_PER_RESULT).collect();
            let catalog = &self.inner.catalog;
            catalog.carried(&self.server, &self.principal, uris);
        }
        if edits.is_empty() {
            return message;
        }
        message.spliced(&edits)
    }

    /// Returns the address that the client sees of a user interface or skill of the server, if it differs from the
    /// server's own.
    fn shown(&self, view: &View, uri: &str) -> Option<String> {
        match &self.read {
            Some((own, shown)) if own == uri => (own != shown).then(|| shown.clone()),
            _ => {
                let catalog = &self.inner.catalog;
                catalog.shown_address(&self.principal, view, &self.server, uri)
            }
        }
    }
}

/// Returns the own address of the user interface or skill that a request reads, and the one in the request.
fn read_of(request: &Message, own: &str) -> Option<(String, String)> {
    if request.method() != method::RESOURCES_READ || !may_be_changed(own) {
        return None;
    }
    let uri = ParamsHead::read(request.body()).ok()?.uri?;
    Some((own.to_owned(), text(uri.get())?.into_owned()))
}

/// Finds the end of a key of a URI: `uri`, `resourceUri` or `ui/resourceUri`. Created once: building a finder costs more
/// than searching a short result.
static URI_KEY_END: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("ri\""));

/// The beginnings of these keys.
const URI_KEYS: [&str; 3] = ["\"u", "\"resourceU", "\"ui/resourceU"];

/// Returns the URIs that a result names, with their JSON strings.
pub(super) fn uris_of(body: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = URI_KEY_END.find(&body.as_bytes()[from..]) {
        let key = &body[..from + at];
        from += at + 3;
        if !URI_KEYS.iter().any(|begin| key.ends_with(begin)) {
            continue;
        }
        let rest = &body[from..];
        let value = rest.trim_start().strip_prefix(':').map(str::trim_start);
        // Only texts: to read nested values at each of their keys would take quadratic time.
        let value = value.filter(|value| value.starts_with('"'));
        let raw = value.and_then(|value| {
            let mut values = serde_json::Deserializer::from_str(value).into_iter::<&RawValue>();
            values.next()?.ok()
        });
        if let Some(raw) = raw.map(RawValue::get)
            && let Some(uri) = text(raw)
            && uri.len() <= MAX_URI_LEN
        {
            found.push((raw, uri.into_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> Vec<String> {
        uris_of(body).into_iter().map(|(_, uri)| uri).collect()
    }

    #[test]
    fn texts_of_all_keys_of_a_uri_are_found() {
        let body = r#"{"uri":"a","x":{"resourceUri": "b\u0041","ui/resourceUri" :"c"},"uri":1,"myuri":"d","t":"\"uri\":\"e\""}"#;
        assert_eq!(found(body), ["a", "bA", "c"]);
    }

    #[test]
    fn nested_keys_are_read_in_one_pass() {
        let depth = 300_000;
        let body = format!(r#"{}"a"{}"#, r#"{"uri":"#.repeat(depth), "}".repeat(depth));
        assert_eq!(found(&body), ["a"]);
    }
}
