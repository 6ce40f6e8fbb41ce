//! Maps ids and progress tokens of callers that share a session: each request gets an id of ours, and its response gets
//! the caller's id back.

use bytes::Bytes;
use futures_util::StreamExt as _;

use super::own_id::OwnId;
use super::progress_token;
use crate::call::{Reply, ReplyItem};
use crate::jsonrpc::{Members, Message, Span, Splice, whole_number};
use crate::protocol::method;

/// The caller's id and progress token of a request.
#[derive(Debug)]
pub(super) struct Remap {
    id: Bytes,
    own: OwnId,
    token: Option<(Span, Bytes)>,
}

impl Remap {
    /// Assigns this id to a request.
    pub(super) fn begin(message: &Message, own: OwnId) -> Self {
        Self {
            id: message.id_bytes().unwrap_or_default(),
            own,
            token: progress_token(message),
        }
    }

    /// Returns the edited request under its own id, which is also its progress token if it has one.
    pub(super) fn apply(&self, message: &Message, edits: &Splice) -> Bytes {
        let token = self.token.as_ref().map(|(span, _)| span.clone());
        renumbered((message, &self.own), token, |more| {
            edits.apply_with(message.bytes(), more)
        })
    }

    /// Returns the reply with the caller's id and progress token.
    pub(super) fn reply(self, reply: Reply) -> Reply {
        match reply.into_ready() {
            Ok(mut response) => {
                response.set_id(&self.id);
                Reply::ready(response)
            }
            Err(stream) => {
                let items = stream.filter_map(move |item| std::future::ready(self.item(item)));
                Reply::stream(items.boxed())
            }
        }
    }

    fn item(&self, item: ReplyItem) -> Option<ReplyItem> {
        Some(match item {
            ReplyItem::Response(mut response) => {
                response.set_id(&self.id);
                ReplyItem::Response(response)
            }
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
        let is_own = found.as_bytes() == &*self.own
            || whole_number(found).is_some_and(|number| *OwnId::from(number) == *self.own);
        let (_, token) = self.token.as_ref().filter(|_| is_own)?;
        let mut splice = Splice::new();
        splice.member(message.bytes(), &members, "progressToken", token.clone());
        Some(message.spliced(&splice))
    }
}

/// Calls `apply` with the replacements of the id and of the progress token at `token` by this id.
pub(super) fn renumbered(
    (message, own): (&Message, &OwnId),
    token: Option<Span>,
    apply: impl FnOnce(&[(Span, &[u8])]) -> Bytes,
) -> Bytes {
    let with = |span: Span| (span, &own[..]);
    match (message.id_span().map(with), token.map(with)) {
        (None, None) => apply(&[]),
        (Some(one), None) | (None, Some(one)) => apply(&[one]),
        (Some(id), Some(token)) if id.0.start < token.0.start => apply(&[id, token]),
        (Some(id), Some(token)) => apply(&[token, id]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::own;

    #[test]
    fn reply_carries_the_id_and_token_of_the_caller() {
        let request = br#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"_meta":{"progressToken":"t"}}}"#;
        let message = own(Bytes::from_static(request));
        let remap = Remap::begin(&message, OwnId::from(7));
        let sent = own(remap.apply(&message, &Splice::new()));
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
