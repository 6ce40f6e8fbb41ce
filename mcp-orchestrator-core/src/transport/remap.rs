//! Maps ids and progress tokens of callers that share a session: each request gets an id of ours, and its response gets
//! the caller's id back.

use bytes::Bytes;
use futures_util::StreamExt as _;

use super::progress_token;
use crate::call::{Reply, ReplyItem};
use crate::jsonrpc::{Members, Message, Splice, whole_number};
use crate::protocol::method;

/// The caller's id and progress token of a request.
#[derive(Debug)]
pub(super) struct Remap {
    id: Bytes,
    own: Bytes,
    token: Option<Bytes>,
}

impl Remap {
    /// Assigns this id to a request, and uses it as the progress token if the request has one.
    pub(super) fn begin(message: &Message, edits: &mut Splice, own: &Bytes) -> Self {
        let id = message.id_bytes().unwrap_or_default();
        let token = progress_token(message).map(|(span, text)| {
            edits.replace(span, own.clone());
            text
        });
        edits.id(message, own.clone());
        Self {
            id,
            own: own.clone(),
            token,
        }
    }

    /// Returns the reply with the caller's id and progress token.
    pub(super) fn reply(self, reply: Reply) -> Reply {
        match reply.into_ready() {
            Ok(response) => Reply::ready(response.with_id(self.id)),
            Err(stream) => {
                let items = stream.filter_map(move |item| std::future::ready(self.item(item)));
                Reply::stream(items.boxed())
            }
        }
    }

    fn item(&self, item: ReplyItem) -> Option<ReplyItem> {
        Some(match item {
            ReplyItem::Response(response) => ReplyItem::Response(response.with_id(self.id.clone())),
            ReplyItem::Notification(message) if message.method() == method::PROGRESS => {
                ReplyItem::Notification(self.progress(&message)?)
            }
            item => item,
        })
    }

    /// Returns the progress under the caller's token, or `None` if it belongs to another request or the caller asked
    /// for none.
    fn progress(&self, message: &Message) -> Option<Message> {
        let members = message.body().and_then(Members::read).unwrap_or_default();
        let found = members.get("progressToken")?;
        let is_own = found.as_bytes() == self.own
            || whole_number(found).is_some_and(|number| number.to_string().as_bytes() == self.own);
        let token = self.token.as_ref().filter(|_| is_own)?;
        let mut splice = Splice::new();
        splice.member(message.bytes(), &members, "progressToken", token.clone());
        Some(message.spliced(&splice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::own;

    #[test]
    fn reply_carries_the_id_and_token_of_the_caller() {
        let request = br#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"_meta":{"progressToken":"t"}}}"#;
        let (message, mut edits) = (own(Bytes::from_static(request)), Splice::new());
        let remap = Remap::begin(&message, &mut edits, &Bytes::from_static(b"7"));
        let sent = message.spliced(&edits);
        assert_eq!(sent.id(), Some("7"));
        assert_eq!(sent.body(), Some(r#"{"_meta":{"progressToken":7}}"#));
        let progress = |params: &str| {
            let message = own(crate::jsonrpc::notification(method::PROGRESS, Some(params)));
            remap.progress(&message).map(Message::into_bytes)
        };
        for token in ["7", "\"7\"", "7.0"] {
            let told = progress(&format!("{{\"progressToken\":{token},\"progress\":1}}"));
            let told = own(told.unwrap());
            assert_eq!(told.body(), Some(r#"{"progressToken":"t","progress":1}"#));
        }
        for other in ["8", "\"t\"", "null"] {
            let params = format!("{{\"progressToken\":{other},\"progress\":1}}");
            assert!(progress(&params).is_none(), "{other}");
        }
        let response = own(crate::jsonrpc::response("7", "{}"));
        let response = remap.reply(Reply::ready(response)).into_ready().unwrap();
        assert_eq!(response.id(), Some("\"a\""));
    }
}
