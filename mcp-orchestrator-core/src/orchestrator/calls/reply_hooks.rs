//! Inspects the replies of a call as they arrive: resources that they name, and tasks that they create.

use std::sync::{Arc, LazyLock};

use futures_util::StreamExt as _;
use memchr::memmem::Finder;

use crate::auth::Principal;
use crate::call::{Reply, ReplyItem};
use crate::id::{GatewayId, ServerId};
use crate::jsonrpc::{Kind, Message};
use crate::limits::{MAX_CARRIED_PER_RESULT, MAX_URI_LEN};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::orchestrator::tasks::{SealScope, TASK_ID, TaskCreation};
use crate::pool::Handle;
use crate::router::Route;

/// Inspects the replies of one call.
pub(crate) struct ReplyHooks {
    inner: Arc<Inner>,
    principal: Arc<Principal>,
    server: ServerId,
    seal_scope: SealScope,
    makes: TaskCreation,
    gateway: GatewayId,
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
            Ok(response) => Reply::ready(self.message(response)),
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

    /// Returns `true` if the gateway shows more than one server. With a single server, the owner of a resource is
    /// unambiguous.
    fn has_several(&self) -> bool {
        let view = self.inner.router.view(&self.principal, &self.gateway);
        view.is_ok_and(|view| view.entries.len() > 1)
    }

    fn message(&self, message: Message) -> Message {
        if message.kind() == Kind::Response {
            let body = message.body_span().map(|span| &message.bytes()[span]);
            // Nearly all results name none, so the text is read only if one may be there.
            let names_any = body.is_some_and(|body| URI_KEY_END.find(body).is_some());
            let uris = message.body().filter(|_| names_any).map(uris_of);
            let uris = uris.unwrap_or_default();
            if !uris.is_empty() && self.has_several() {
                let catalog = &self.inner.catalog;
                catalog.carried(&self.server, &self.principal, uris);
            }
        }
        if message.kind() == Kind::Error {
            self.seal_scope.note_elicitations(&message);
        }
        self.inner.seal_tasks(&self.seal_scope, self.makes, message)
    }
}

/// Finds the end of a key of a URI: `uri`, `resourceUri` or `ui/resourceUri`. Created once: building a finder costs more
/// than searching a short result.
static URI_KEY_END: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("ri\""));

/// The beginnings of these keys.
const URI_KEYS: [&str; 3] = ["\"u", "\"resourceU", "\"ui/resourceU"];

/// Returns up to `MAX_CARRIED_PER_RESULT` URIs that a result names.
fn uris_of(body: &str) -> Vec<String> {
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
        let raw = value.and_then(|value| {
            serde_json::Deserializer::from_str(value)
                .into_iter::<String>()
                .next()
        });
        if let Some(Ok(uri)) = raw
            && uri.len() <= MAX_URI_LEN
        {
            found.push(uri);
        }
        if found.len() == MAX_CARRIED_PER_RESULT {
            break;
        }
    }
    found
}
