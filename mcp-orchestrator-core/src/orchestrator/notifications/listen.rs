//! Streams of messages that belong to no call: the GET stream of a legacy session, and `subscriptions/listen`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, CallEra, Listen, Reply, ReplyItem, own};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Members, Message, notification, quote, response};
use crate::limits::{MAX_LISTEN_ID_LEN, MAX_LISTENS_PER_PRINCIPAL, MAX_WAITING_NOTIFICATIONS};
use crate::orchestrator::params::{missing, params};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::listeners::{Listener, tagged};
use crate::protocol::{meta, method};

/// `Retry-After` of a request that is rejected because the principal has too many streams.
const RETRY_AFTER: Duration = Duration::from_secs(10);

impl Inner {
    pub(crate) async fn listen(self: &Arc<Self>, listen: Listen) -> Result<Reply> {
        if let Some(id) = &listen.session {
            let session = self.session(id, &listen.principal, &listen.gateway)?;
            session.seen(&listen.principal, None);
            let context = Context::of(&session);
            self.view(&context)?;
            if let Some(after) = listen.resume.filter(|after| !after.is_general()) {
                return Ok(session.read(after));
            }
            session.starts_listening();
            if self.draining.is_cancelled() {
                session.close_general();
            }
            for handle in session.handles() {
                if !self.right_to(&context, &handle.key).await.holds() {
                    continue;
                }
                if let Err(error) = handle.link.listen(&context.caller).await {
                    tracing::debug!(server = %handle.key.server(), %error, "a stream to the server cannot be opened");
                }
            }
            return Ok(match listen.resume {
                Some(after) => session.read(after),
                None => session.listen(),
            });
        }
        let Some(message) = listen.request else {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "a session or a request is needed to listen",
            ));
        };
        let call = Call {
            principal: listen.principal,
            gateway: listen.gateway,
            era: CallEra::Modern,
            message,
            headers: http::HeaderMap::new(),
            token: None,
        };
        self.subscribe_modern(&call).await
    }

    async fn subscribe_modern(self: &Arc<Self>, call: &Call) -> Result<Reply> {
        let context = self.modern_context(call);
        self.view(&context)?;
        let wanted = params(&call.message)?
            .notifications
            .ok_or_else(|| missing("notifications"))?;
        let wanted = Members::read(wanted.get()).ok_or_else(|| missing("notifications"))?;
        let id = call.message.id().unwrap_or("null");
        if id.len() > MAX_LISTEN_ID_LEN {
            let text = format!("the request's id is longer than {MAX_LISTEN_ID_LEN} bytes");
            return Err(Error::new(ErrorKind::InvalidRequest, text));
        }
        let yes = |key: &str| wanted.get(key) == Some("true");
        let uris = wanted
            .get("resourceSubscriptions")
            .map(serde_json::from_str::<Vec<String>>)
            .transpose();
        let uris = uris.map_err(|_| missing("notifications.resourceSubscriptions"))?;
        let (sender, receiver) = mpsc::channel(MAX_WAITING_NOTIFICATIONS);
        let listener = Arc::new(Listener {
            principal: Arc::clone(&context.principal),
            gateway: context.gateway.clone(),
            party: self.sessions.party(),
            tools: yes("toolsListChanged"),
            prompts: yes("promptsListChanged"),
            resources: yes("resourcesListChanged"),
            tasks: wanted.get("taskIds").is_some() || yes("tasks"),
            id: id.to_owned(),
            ended: CancellationToken::new(),
            sender,
        });
        if !self.listeners.add(Arc::clone(&listener)) {
            return Err(too_many(&listener));
        }
        // Created before the first subscription, so that a client that does not wait for the answer leaves nothing
        // behind.
        let leaving = Leaving {
            inner: Arc::clone(self),
            listener: Arc::clone(&listener),
        };
        let accepted = match &uris {
            Some(uris) => Some(self.listen_to_resources(&context, &listener, uris).await),
            None => None,
        };
        let acknowledged = acknowledgement(&listener, &wanted, accepted.as_deref());
        let draining = self.draining.clone();
        let done = ended_result(&listener.id);
        let items = until_ended(receiver, draining, leaving);
        let items = items.chain(stream::iter([ReplyItem::Response(done)]));
        let first = stream::iter([ReplyItem::Notification(acknowledged)]);
        Ok(Reply::stream(first.chain(items).boxed()))
    }
}

/// The messages for a listener, until its stream ends.
fn until_ended(
    receiver: mpsc::Receiver<ReplyItem>,
    draining: CancellationToken,
    leaving: Leaving,
) -> impl Stream<Item = ReplyItem> + Send {
    let ended = leaving.listener.ended.clone();
    let items = stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    items
        .take_until(async move {
            tokio::select! {
                () = draining.cancelled() => {}
                () = ended.cancelled() => {}
            }
        })
        .map(move |item| {
            // Uses the whole value, which stays while the stream is read.
            let leaving = &leaving;
            match item {
                ReplyItem::Notification(message) => {
                    ReplyItem::Notification(tagged(&message, &leaving.listener.id))
                }
                item => item,
            }
        })
}

fn too_many(listener: &Listener) -> Error {
    let text = format!(
        "{} has {MAX_LISTENS_PER_PRINCIPAL} streams of subscriptions/listen open, the most that are allowed",
        listener.principal.id
    );
    Error::new(ErrorKind::Overloaded, text).with_retry_after(RETRY_AFTER)
}

/// Ends a listener's subscriptions when its stream is dropped.
struct Leaving {
    inner: Arc<Inner>,
    listener: Arc<Listener>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.inner.unsubscribe(self.listener.party);
        self.inner.listeners.remove(&self.listener);
    }
}

fn acknowledgement(
    listener: &Listener,
    wanted: &Members<'_>,
    accepted: Option<&[String]>,
) -> Message {
    let mut granted = Vec::new();
    for (yes, key) in [
        (listener.tools, "toolsListChanged"),
        (listener.prompts, "promptsListChanged"),
        (listener.resources, "resourcesListChanged"),
    ] {
        if yes {
            granted.push(format!("\"{key}\":true"));
        }
    }
    if let Some(uris) = accepted {
        let uris: Vec<_> = uris.iter().map(|uri| quote(uri)).collect();
        granted.push(format!("\"resourceSubscriptions\":[{}]", uris.join(",")));
    }
    if listener.tasks {
        for key in ["taskIds", "tasks"] {
            if let Some(value) = wanted.get(key) {
                granted.push(format!("\"{key}\":{value}"));
            }
        }
    }
    let params = format!("{{\"notifications\":{{{}}}}}", granted.join(","));
    tagged(
        &own(notification(method::ACKNOWLEDGED, Some(&params))),
        &listener.id,
    )
}

fn ended_result(id: &str) -> Message {
    let key = meta::SUBSCRIPTION_ID;
    own(response(
        id,
        &format!("{{\"resultType\":\"complete\",\"_meta\":{{\"{key}\":{id}}}}}"),
    ))
}
