//! Ids and progress tokens of callers that share a session: each request gets our own, its answer the caller's again.

use bytes::Bytes;
use futures_util::StreamExt as _;

use super::{Outgoing, progress_token};
use crate::call::{Reply, ReplyItem};
use crate::jsonrpc::{Members, Message, Splice};
use crate::protocol::method;

/// What a caller called its request.
#[derive(Debug)]
pub(super) struct Remap {
    id: Bytes,
    token: Option<Bytes>,
}

impl Remap {
    /// Gives a request this id, and the same as its progress token where it has one.
    pub(super) fn begin(outgoing: &mut Outgoing, own: &Bytes) -> Self {
        let id = outgoing.message.id_bytes().unwrap_or_default();
        let token = progress_token(&outgoing.message).map(|(span, text)| {
            outgoing.edits.replace(span, own.clone());
            text
        });
        outgoing.edits.id(&outgoing.message, own.clone());
        Self { id, token }
    }

    /// The reply as its caller knows it.
    pub(super) fn reply(self, reply: Reply) -> Reply {
        match reply.into_ready() {
            Ok(response) => Reply::ready(response.with_id(self.id)),
            Err(stream) => Reply::stream(stream.map(move |item| self.item(item)).boxed()),
        }
    }

    fn item(&self, item: ReplyItem) -> ReplyItem {
        match item {
            ReplyItem::Response(response) => ReplyItem::Response(response.with_id(self.id.clone())),
            ReplyItem::Notification(message) if message.method() == method::PROGRESS => {
                ReplyItem::Notification(self.progress(&message))
            }
            item => item,
        }
    }

    fn progress(&self, message: &Message) -> Message {
        let members = message.body().and_then(Members::read).unwrap_or_default();
        let mut splice = Splice::new();
        if let Some(token) = &self.token {
            splice.member(message.bytes(), &members, "progressToken", token.clone());
        }
        message.spliced(splice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::own;
    use crate::protocol::Era;

    #[test]
    fn a_reply_bears_the_callers_names_again() {
        let request = br#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"_meta":{"progressToken":"t"}}}"#;
        let mut outgoing = Outgoing {
            message: own(Bytes::from_static(request)),
            edits: Splice::new(),
            name: None,
            headers: http::HeaderMap::new(),
            party: 1,
            era: Era::Modern,
            client: None,
        };
        let remap = Remap::begin(&mut outgoing, &Bytes::from_static(b"7"));
        let sent = outgoing.message.spliced(outgoing.edits);
        assert_eq!(sent.id(), Some("7"));
        assert_eq!(sent.body(), Some(r#"{"_meta":{"progressToken":7}}"#));
        let told = own(crate::jsonrpc::notification(
            method::PROGRESS,
            Some(r#"{"progressToken":7,"progress":1}"#),
        ));
        assert_eq!(
            remap.progress(&told).body(),
            Some(r#"{"progressToken":"t","progress":1}"#)
        );
        let response = own(crate::jsonrpc::response("7", "{}"));
        let response = remap.reply(Reply::ready(response)).into_ready().unwrap();
        assert_eq!(response.id(), Some("\"a\""));
    }
}
