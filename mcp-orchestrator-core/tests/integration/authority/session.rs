//! The session of a legacy client, and the messages on its streams.

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use mcp_orchestrator_core::Result;
use mcp_orchestrator_core::call::{Call, CallEra, Listen, Notify, Reply, ReplyItem};
use mcp_orchestrator_core::id::SessionId;
use mcp_orchestrator_core::jsonrpc::Message;
use serde_json::{Value, json};

use crate::authority::site::{Site, gateway_id};
use crate::authority::wait::within;

/// A legacy session.
#[derive(Clone)]
pub(crate) struct Session<'a> {
    pub(crate) site: &'a Site,
    pub(crate) name: String,
    pub(crate) gateway: String,
    pub(crate) id: SessionId,
}

impl Session<'_> {
    fn era(&self) -> CallEra {
        CallEra::Legacy(Some(self.id.clone()))
    }

    /// Sends a request and returns the reply as it begins.
    pub(crate) async fn begin(&self, id: u64, method: &str, params: &Value) -> Result<Reply> {
        let call = Call {
            era: self.era(),
            ..self
                .site
                .call(&self.name, &self.gateway, request(id, method, params))
        };
        within("a reply", self.site.orchestrator.call(call)).await
    }

    /// Sends a request and waits for its response.
    pub(crate) async fn request(&self, id: u64, method: &str, params: &Value) -> Result<Value> {
        let reply = self.begin(id, method, params).await?;
        Ok(value(&within("a response", reply.response()).await?))
    }

    /// Sends a request with these parameters verbatim and waits for its response.
    pub(crate) async fn raw(&self, id: u64, method: &str, params: &str) -> Result<Value> {
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        let message = Message::parse(Bytes::from(text)).unwrap();
        let call = Call {
            era: self.era(),
            ..self.site.call(&self.name, &self.gateway, message)
        };
        let reply = within("a reply", self.site.orchestrator.call(call)).await?;
        Ok(value(&within("a response", reply.response()).await?))
    }

    /// Sends a message that has no response.
    pub(crate) async fn notify(&self, message: &Value) -> Result<()> {
        let notify = Notify {
            principal: self.site.principal(&self.name),
            gateway: gateway_id(&self.gateway),
            era: self.era(),
            message: parsed(message),
        };
        self.site.orchestrator.notify(notify).await
    }

    /// Opens the stream for messages that belong to no call.
    pub(crate) async fn listen(&self) -> Result<Reply> {
        let listen = Listen {
            principal: self.site.principal(&self.name),
            gateway: gateway_id(&self.gateway),
            session: Some(self.id.clone()),
            resume: None,
            request: None,
        };
        self.site.orchestrator.listen(listen).await
    }

    pub(crate) fn end(&self) {
        let principal = self.site.principal(&self.name);
        let gateway = gateway_id(&self.gateway);
        let _ = self
            .site
            .orchestrator
            .end_session(&principal, &gateway, &self.id);
    }
}

pub(crate) fn parsed(message: &Value) -> Message {
    Message::parse(Bytes::from(message.to_string())).unwrap()
}

pub(crate) fn request(id: u64, method: &str, params: &Value) -> Message {
    parsed(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
}

pub(crate) fn value(message: &Message) -> Value {
    serde_json::from_slice(message.bytes()).unwrap()
}

/// Returns the message of an item as JSON.
pub(crate) fn item(item: &ReplyItem) -> Value {
    match item {
        ReplyItem::Notification(message) | ReplyItem::Response(message) => value(message),
        ReplyItem::Request(request) => value(&request.message),
        ReplyItem::Failed(error) => json!({ "failed": error.to_string() }),
    }
}

/// Returns the next message of a stream.
pub(crate) async fn next(reply: &mut Reply) -> Option<Value> {
    within("a message", reply.next()).await.as_ref().map(item)
}

/// Returns all messages that have already arrived.
pub(crate) fn drain(reply: &mut Reply) -> Vec<Value> {
    let mut found = Vec::new();
    while let Some(Some(next)) = reply.next().now_or_never() {
        found.push(item(&next));
    }
    found
}

/// Like [`drain`], for a stream that may have ended.
pub(crate) fn drain_open(stream: &mut Option<Reply>) -> Vec<Value> {
    let mut found = Vec::new();
    while let Some(reply) = stream
        && let Some(next) = reply.next().now_or_never()
    {
        match next {
            Some(next) => found.push(item(&next)),
            None => *stream = None,
        }
    }
    found
}
