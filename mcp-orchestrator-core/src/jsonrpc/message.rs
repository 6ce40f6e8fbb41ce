//! One message: its bytes, its kind, and where its members stand.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Span, Splice, span_of};

/// What a message is, by the members it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A method and an id: an answer is owed.
    Request,
    /// A method without an id.
    Notification,
    /// An id and a result.
    Response,
    /// An error, with the id of its request or `null`.
    Error,
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON at all (or not UTF-8).
    #[error("not valid JSON: {0}")]
    Json(String),
    /// A batch, which only revision 2025-03-26 knows.
    #[error("a JSON-RPC batch is not allowed here")]
    Batch,
    /// JSON, but not a JSON-RPC 2.0 message.
    #[error("not a JSON-RPC 2.0 message: {0}")]
    Shape(String),
}

/// One JSON-RPC message, kept as the bytes it came in.
#[derive(Clone)]
pub struct Message {
    bytes: Bytes,
    kind: Kind,
    id: Option<Span>,
    method: Cow<'static, str>,
    body: Option<Span>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default, borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Keeps `null` apart from absent.
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Message {
    /// Reads the envelope; `params`, `result` and `error` are only checked to be JSON.
    ///
    /// # Errors
    /// [`ParseError`] says whether it is not JSON, a batch, or not JSON-RPC 2.0.
    pub fn parse(bytes: Bytes) -> Result<Self, ParseError> {
        let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
        if first == Some(&b'[') {
            return Err(match serde_json::from_slice::<&RawValue>(&bytes) {
                Ok(_) => ParseError::Batch,
                Err(error) => ParseError::Json(error.to_string()),
            });
        }
        let envelope: Envelope<'_> = serde_json::from_slice(&bytes).map_err(|error| {
            if error.is_data() {
                ParseError::Shape(error.to_string())
            } else {
                ParseError::Json(error.to_string())
            }
        })?;
        if envelope.jsonrpc.as_deref() != Some("2.0") {
            return Err(ParseError::Shape("\"jsonrpc\" must be \"2.0\"".into()));
        }
        let (kind, body) = classify(&envelope)?;
        let id = envelope.id.map(|id| span_of(&bytes, id.get()));
        let body = body.map(|body| span_of(&bytes, body.get()));
        let method = envelope
            .method
            .map_or(Cow::Borrowed(""), |method| known_method(&method));
        Ok(Self {
            bytes,
            kind,
            id,
            method,
            body,
        })
    }

    /// The whole message, as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The whole message, as it came, without its frame.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The id as JSON text (`"1"` and `1` differ); `null` of an error is no id.
    pub fn id(&self) -> Option<&str> {
        self.id
            .as_ref()
            .map(|span| self.text(span))
            .filter(|id| *id != "null")
    }

    /// The id as bytes that share this message's memory.
    pub fn id_bytes(&self) -> Option<Bytes> {
        self.id.as_ref().map(|span| self.bytes.slice(span.clone()))
    }

    /// Where the id stands.
    pub fn id_span(&self) -> Option<Span> {
        self.id.clone()
    }

    /// The method; empty for responses.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// `params`, `result` or `error`, as JSON text.
    pub fn body(&self) -> Option<&str> {
        self.body.as_ref().map(|span| self.text(span))
    }

    /// Where `params`, `result` or `error` stands.
    pub fn body_span(&self) -> Option<Span> {
        self.body.clone()
    }

    /// Whether this ends its request: a result or an error.
    pub fn is_response(&self) -> bool {
        matches!(self.kind, Kind::Response | Kind::Error)
    }

    /// The same message with these changes, which keep it a message of its kind.
    #[must_use]
    pub fn spliced(&self, splice: Splice) -> Self {
        if splice.is_empty() {
            return self.clone();
        }
        let moved = |span: &Span| splice.moved(span.start)..splice.moved(span.end);
        let (id, body) = (self.id.as_ref().map(moved), self.body.as_ref().map(moved));
        Self {
            bytes: splice.apply(&self.bytes),
            kind: self.kind,
            id,
            method: self.method.clone(),
            body,
        }
    }

    /// The same message under another id, which is JSON.
    #[must_use]
    pub fn with_id(&self, id: Bytes) -> Self {
        let mut splice = Splice::new();
        splice.id(self, id);
        self.spliced(splice)
    }

    fn text(&self, span: &Span) -> &str {
        // Every span was taken from a `&str` that the parser checked to be UTF-8.
        std::str::from_utf8(&self.bytes[span.clone()]).unwrap_or("null")
    }
}

impl fmt::Debug for Message {
    /// Shape only: parameters and results are the caller's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("kind", &self.kind)
            .field("id", &self.id())
            .field("method", &self.method)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

fn classify<'a>(envelope: &Envelope<'a>) -> Result<(Kind, Option<&'a RawValue>), ParseError> {
    let shape = |why: &str| Err(ParseError::Shape(why.into()));
    if envelope.method.is_some() {
        if envelope.result.is_some() || envelope.error.is_some() {
            return shape("both a method and a result or error");
        }
        return match envelope.id {
            None => Ok((Kind::Notification, envelope.params)),
            Some(id) if is_id(id.get()) => Ok((Kind::Request, envelope.params)),
            Some(_) => shape("\"id\" must be a string or a number"),
        };
    }
    match (envelope.id, envelope.result, envelope.error) {
        (_, Some(_), Some(_)) => shape("both a result and an error"),
        (Some(id), Some(result), None) if is_id(id.get()) => Ok((Kind::Response, Some(result))),
        (None, None, Some(error)) => Ok((Kind::Error, Some(error))),
        (Some(id), None, Some(error)) if is_id(id.get()) || id.get() == "null" => {
            Ok((Kind::Error, Some(error)))
        }
        (_, None, None) => shape("neither a method nor a result or error"),
        _ => shape("\"id\" must be a string or a number"),
    }
}

fn is_id(raw: &str) -> bool {
    matches!(raw.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9'))
}

/// The method's name without an allocation where it is one of the protocol's own.
fn known_method(name: &str) -> Cow<'static, str> {
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
    KNOWN.iter().find(|known| **known == name).map_or_else(
        || Cow::Owned(name.to_owned()),
        |known| Cow::Borrowed(*known),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Result<Message, ParseError> {
        Message::parse(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_request_shows_its_members_as_they_stand() {
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
    fn kinds_are_told_by_their_members() {
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
    fn what_is_no_message_is_refused_by_its_reason() {
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
    fn a_changed_message_knows_its_places() {
        let message =
            parse(r#"{"jsonrpc":"2.0","id":123456,"method":"x","params":{"a":1,"b":2}}"#).unwrap();
        let changed = message.with_id(Bytes::from("\"é\""));
        assert_eq!(
            (changed.id(), changed.body()),
            (Some("\"é\""), Some(r#"{"a":1,"b":2}"#))
        );
        let members = super::super::Members::read(message.body().unwrap()).unwrap();
        let mut splice = Splice::new();
        splice.remove_members(message.bytes(), &members, |key| key == "b");
        splice.insert_member(message.bytes(), &message.body_span().unwrap(), "c", "[3]");
        splice.id(&message, Bytes::from_static(b"7"));
        let changed = message.spliced(splice);
        assert_eq!(
            (changed.id(), changed.body()),
            (Some("7"), Some(r#"{"c":[3],"a":1}"#))
        );
    }

    #[test]
    fn debug_holds_no_parameters() {
        let message =
            parse(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"password":"hunter2"}}"#)
                .unwrap();
        assert!(!format!("{message:?}").contains("hunter2"));
    }
}
