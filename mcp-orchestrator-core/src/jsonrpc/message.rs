//! A message: its bytes, its kind and the ranges of its members.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::byte_order_mark::without_mark;
use super::envelope::{Envelope, Place};
use super::kind::{Kind, ParseError};
use super::memory::{Share, held};
use super::{Span, Splice, text};

/// A JSON-RPC message, kept as the bytes it was received in.
#[derive(Clone)]
pub struct Message {
    bytes: Bytes,
    method: Cow<'static, str>,
    envelope: Envelope,
    /// The memory of its sender that it takes.
    share: Option<Arc<Share>>,
}

impl Message {
    /// Parses the envelope; `params`, `result` and `error` are only checked to be JSON. A byte order mark is skipped.
    ///
    /// # Errors
    /// [`ParseError`] distinguishes invalid JSON, batches and messages that are not JSON-RPC 2.0.
    pub fn parse(bytes: Bytes) -> Result<Self, ParseError> {
        let bytes = without_mark(bytes);
        let envelope = Envelope::read(&bytes)?;
        let method = envelope
            .method
            .span()
            .map_or(Cow::Borrowed(""), |span| known_method(&bytes[span]));
        Ok(Self {
            bytes,
            method,
            envelope,
            share: None,
        })
    }

    /// Returns the whole message as received.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the whole message as received, without its frame.
    pub fn into_bytes(self) -> Bytes {
        held(self.bytes, self.share)
    }

    /// Gives up the share of its sender's memory: something else limits this message from now on.
    pub(crate) fn release(&mut self) {
        self.share = None;
    }

    /// Sets the share of its sender's memory that the message and its copies keep.
    #[must_use]
    pub(crate) fn holding(self, share: Option<Arc<Share>>) -> Self {
        Self { share, ..self }
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.envelope.kind
    }

    /// Returns the id as JSON text (`"1"` and `1` differ). The `null` id of an error counts as none.
    pub fn id(&self) -> Option<&str> {
        self.text(self.envelope.id).filter(|id| *id != "null")
    }

    /// Returns the id as bytes that share this message's memory.
    pub fn id_bytes(&self) -> Option<Bytes> {
        self.id_span().map(|span| self.bytes.slice(span))
    }

    /// Returns the range of the id.
    pub fn id_span(&self) -> Option<Span> {
        self.envelope.id.span()
    }

    /// Returns the method; empty for responses.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns `params`, `result` or `error` as JSON text.
    pub fn body(&self) -> Option<&str> {
        self.text(self.envelope.body)
    }

    /// Returns the range of `params`, `result` or `error`.
    pub fn body_span(&self) -> Option<Span> {
        self.envelope.body.span()
    }

    /// Returns `params.name` as JSON text.
    pub fn name(&self) -> Option<&str> {
        self.text(self.envelope.name)
    }

    /// Returns `params._meta` as JSON text.
    pub fn meta(&self) -> Option<&str> {
        self.text(self.envelope.meta)
    }

    /// Returns `true` if a member of `params` that routing or access control depends on, such as `name` or `_meta`,
    /// occurs twice or in another spelling (`Name`), so that readers may disagree about its meaning.
    pub fn is_ambiguous(&self) -> bool {
        self.envelope.ambiguity.params || self.has_ambiguous_meta()
    }

    /// Like [`is_ambiguous`](Self::is_ambiguous), but only for `params._meta` and its members, which every method has.
    pub fn has_ambiguous_meta(&self) -> bool {
        self.envelope.ambiguity.meta
    }

    /// Returns `true` if `params._meta` names a related task.
    pub(crate) fn names_related_task(&self) -> bool {
        self.envelope.related_task
    }

    /// Returns `true` for a result or an error, which ends its request.
    pub fn is_response(&self) -> bool {
        matches!(self.kind(), Kind::Response | Kind::Error)
    }

    /// Applies edits, which must preserve the kind of the message.
    #[must_use]
    pub fn spliced(&self, splice: &Splice) -> Self {
        if splice.is_empty() {
            return self.clone();
        }
        let moved = |place: Place| {
            let span = place
                .span()
                .filter(|span| !splice.removes(span))
                .map(|span| splice.moved(span.start)..splice.moved(span.end));
            span.map_or_else(Place::default, Place::new)
        };
        let old = self.envelope;
        let envelope = Envelope {
            id: moved(old.id),
            method: moved(old.method),
            body: moved(old.body),
            name: moved(old.name),
            meta: moved(old.meta),
            ..old
        };
        Self {
            bytes: splice.apply(&self.bytes),
            method: self.method.clone(),
            envelope,
            share: self.share.clone(),
        }
    }

    /// Returns the message with another id, given as JSON.
    #[must_use]
    pub fn with_id(&self, id: &[u8]) -> Self {
        let mut message = self.clone();
        message.set_id(id);
        message
    }

    /// Replaces the id by this JSON. Changes nothing if the message is a notification.
    pub fn set_id(&mut self, id: &[u8]) {
        if let Some(span) = self.id_span() {
            self.set_id_at(&span, id);
            return;
        }
        if self.kind() != Kind::Error {
            return;
        }
        // An error without an id.
        let start = self.bytes.iter().position(|b| *b == b'{').unwrap_or(0);
        let id = String::from_utf8_lossy(id);
        let mut splice = Splice::new();
        splice.insert_member(&self.bytes, &(start..self.bytes.len()), "id", &id);
        if let Ok(message) = Self::parse(splice.apply(&self.bytes)) {
            *self = message;
        }
    }

    /// Every response to a caller gets an id this way, so it does without a [`Splice`].
    fn set_id_at(&mut self, span: &Span, id: &[u8]) {
        let mut bytes = BytesMut::with_capacity(self.bytes.len() - span.len() + id.len());
        bytes.extend_from_slice(&self.bytes[..span.start]);
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(&self.bytes[span.end..]);
        let after = |at: usize| {
            if at < span.end {
                at
            } else {
                at - span.len() + id.len()
            }
        };
        let moved = |place: Place| {
            let span = place.span().map(|span| after(span.start)..after(span.end));
            span.map_or_else(Place::default, Place::new)
        };
        let old = self.envelope;
        self.envelope = Envelope {
            id: Place::new(span.start..span.start + id.len()),
            method: moved(old.method),
            body: moved(old.body),
            name: moved(old.name),
            meta: moved(old.meta),
            ..old
        };
        self.bytes = bytes.freeze();
    }

    fn text(&self, place: Place) -> Option<&str> {
        // Every range was taken from text that was checked to be UTF-8, at the bounds of a value.
        std::str::from_utf8(&self.bytes[place.span()?]).ok()
    }
}

impl fmt::Debug for Message {
    /// Shape only: parameters and results belong to the caller.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("kind", &self.kind())
            .field("id", &self.id())
            .field("method", &self.method)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// Returns the method's name, without an allocation for the protocol's own methods.
fn known_method(raw: &[u8]) -> Cow<'static, str> {
    use crate::protocol::method as m;
    const KNOWN: [&str; 18] = [
        m::TOOLS_CALL,
        m::TOOLS_LIST,
        m::PROGRESS,
        m::LOG_MESSAGE,
        m::CANCELLED,
        m::INITIALIZE,
        m::INITIALIZED,
        m::PING,
        m::DISCOVER,
        m::LISTEN,
        m::RESOURCES_READ,
        m::RESOURCES_LIST,
        m::RESOURCES_TEMPLATES_LIST,
        m::PROMPTS_GET,
        m::PROMPTS_LIST,
        m::COMPLETE,
        m::TASKS_GET,
        m::RESOURCE_UPDATED,
    ];
    let inner = raw.get(1..raw.len() - 1).unwrap_or_default();
    let known = KNOWN.iter().find(|known| known.as_bytes() == inner);
    known.map_or_else(
        || {
            let decoded = std::str::from_utf8(raw).ok().and_then(text);
            let decoded = decoded.unwrap_or_default();
            // A known method may be written with escapes.
            let known = KNOWN.iter().find(|known| **known == decoded);
            known.map_or_else(
                || Cow::Owned(decoded.into_owned()),
                |known| Cow::Borrowed(*known),
            )
        },
        |known| Cow::Borrowed(*known),
    )
}

impl Splice {
    /// Replaces the id of a message.
    pub fn id(&mut self, message: &Message, id: impl Into<Bytes>) -> &mut Self {
        if let Some(span) = message.id_span() {
            self.replace(span, id);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::Members;
    use super::*;

    fn parse(text: &'static str) -> Result<Message, ParseError> {
        Message::parse(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn removed_member_is_gone_from_the_edited_message() {
        for params in [
            r#"{"_meta":{"a":1},"name":"n","x":1}"#,
            r#"{"x":1,"name":"n","_meta":{"a":1}}"#,
            r#"{"name":"n","_meta":{"a":1},"x":1}"#,
        ] {
            let message = Message::parse(super::super::request("1", "x", Some(params))).unwrap();
            let members = Members::read(message.body().unwrap()).unwrap();
            let mut splice = Splice::new();
            splice.remove_members(message.bytes(), &members, |key| key != "x");
            let edited = message.spliced(&splice);
            assert_eq!(edited.body(), Some(r#"{"x":1}"#));
            assert_eq!((edited.meta(), edited.name()), (None, None), "{params}");
            let parsed = Message::parse(edited.bytes().clone()).unwrap();
            assert_eq!(parsed.body(), edited.body());
        }
    }

    #[test]
    fn members_of_a_request_are_returned_byte_for_byte() {
        let message = parse(
            r#" {"id": "1" ,"x":[1],"method":"tools/call","params":{"a":1e400},"jsonrpc":"2.0"}"#,
        )
        .unwrap();
        assert_eq!(message.kind(), Kind::Request);
        assert_eq!(message.id(), Some("\"1\""));
        assert_eq!(message.method(), "tools/call");
        assert_eq!(message.body(), Some(r#"{"a":1e400}"#));
    }

    #[test]
    fn the_kind_follows_from_the_members() {
        assert_eq!(
            parse(r#"{"jsonrpc":"2.0","method":"x"}"#).unwrap().kind(),
            Kind::Notification
        );
        assert_eq!(
            parse(r#"{"jsonrpc":"2.0","id":1,"result":null}"#)
                .unwrap()
                .kind(),
            Kind::Response
        );
        for (text, kind) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#,
                Kind::Response,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":null,"error":{}}"#,
                Kind::Error,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":null,"error":null}"#,
                Kind::Response,
            ),
        ] {
            let message = parse(text).unwrap();
            assert_eq!(message.kind(), kind, "{text}");
            assert_eq!(
                message.body() == Some("{}"),
                !text.contains("null,\"error\":null")
            );
        }
        let error =
            parse(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#).unwrap();
        assert_eq!((error.kind(), error.id()), (Kind::Error, None));
        assert_eq!(
            parse(r#"{"jsonrpc":"2.0","method":"tools\/call","id":1}"#)
                .unwrap()
                .method(),
            "tools/call"
        );
    }

    #[test]
    fn invalid_message_is_rejected_with_the_reason() {
        assert!(matches!(parse("{"), Err(ParseError::Json(_))));
        assert!(matches!(parse("nonsense"), Err(ParseError::Json(_))));
        assert!(matches!(parse(" [] "), Err(ParseError::Batch)));
        for wrong in [
            "1",
            "{}",
            r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":null}"#,
        ] {
            assert!(matches!(parse(wrong), Err(ParseError::Shape(_))), "{wrong}");
        }
        assert!(
            Message::parse(Bytes::from_static(
                b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}"
            ))
            .is_err()
        );
    }

    #[test]
    fn edited_message_keeps_its_member_positions() {
        let message =
            parse(r#"{"jsonrpc":"2.0","id":123456,"method":"x","params":{"a":1,"b":2}}"#).unwrap();
        let changed = message.with_id("\"é\"".as_bytes());
        assert_eq!(
            (changed.id(), changed.body()),
            (Some("\"é\""), Some(r#"{"a":1,"b":2}"#))
        );
        let members = Members::read(message.body().unwrap()).unwrap();
        let mut splice = Splice::new();
        splice.remove_members(message.bytes(), &members, |key| key == "b");
        splice.insert_member(message.bytes(), &message.body_span().unwrap(), "c", "[3]");
        splice.id(&message, Bytes::from_static(b"7"));
        let changed = message.spliced(&splice);
        assert_eq!(
            (changed.id(), changed.body()),
            (Some("7"), Some(r#"{"c":[3],"a":1}"#))
        );
    }

    #[test]
    fn error_response_always_gets_the_request_id() {
        for text in [
            r#"{"jsonrpc":"2.0","error":{"code":1,"message":""}}"#,
            r#" {"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#,
            r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":1,"message":""}}"#,
        ] {
            let message = parse(text).unwrap().with_id(b"7");
            assert_eq!(message.id(), Some("7"), "{text}");
            assert_eq!(message.body(), Some(r#"{"code":1,"message":""}"#));
        }
    }

    #[test]
    fn debug_holds_no_parameters() {
        let message =
            parse(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"password":"hunter2"}}"#)
                .unwrap();
        assert!(!format!("{message:?}").contains("hunter2"));
    }
}
