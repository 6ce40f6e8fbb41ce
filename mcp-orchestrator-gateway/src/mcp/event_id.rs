//! Event ids of a session's streams: `STREAM-POSITION`, or `STREAM-POSITION-REQUEST` for the stream of a call.
//!
//! REQUEST is the id of the request in base64url. When the process that ran the call is gone, another one can tell the
//! client from it which call has failed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use mcp_orchestrator_core::call::EventId;
use serde_json::Value;

use crate::limits::MAX_EVENT_REQUEST_ID_LEN;

/// A `Last-Event-ID`.
#[derive(Debug, PartialEq)]
pub(crate) struct LastEvent {
    pub(crate) id: EventId,
    /// The id of the request that the stream answers, as JSON.
    pub(crate) request: Option<String>,
}

/// Returns the end of each event id of a stream that answers this request. Empty if the stream answers none, or the id is
/// too long.
pub(crate) fn suffix(request: &str) -> String {
    if request == "null" || request.len() > MAX_EVENT_REQUEST_ID_LEN {
        return String::new();
    }
    format!("-{}", URL_SAFE_NO_PAD.encode(request))
}

/// Reads a `Last-Event-ID`. Returns `None` if it is no event id of this gateway.
pub(crate) fn last_event(value: &HeaderValue) -> Option<LastEvent> {
    let text = value.to_str().ok()?;
    let (id, request_id) = match text.match_indices('-').nth(1) {
        Some((dash, _)) => (&text[..dash], request(&text[dash + 1..])),
        None => (text, None),
    };
    let id = id.parse().ok()?;
    Some(LastEvent {
        id,
        request: request_id,
    })
}

fn request(encoded: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let is_id = matches!(
        serde_json::from_str(&text),
        Ok(Value::String(_) | Value::Number(_))
    );
    (is_id && text.len() <= MAX_EVENT_REQUEST_ID_LEN).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<LastEvent> {
        last_event(&HeaderValue::from_str(text).unwrap())
    }

    #[test]
    fn event_id_names_the_request_of_its_stream() {
        for request in ["5", "\"a-b\"", "\"ä\\n\"", "-7", "1.5"] {
            let last = read(&format!("3-4{}", suffix(request))).unwrap();
            assert_eq!(last.id, EventId { stream: 3, seq: 4 });
            assert_eq!(last.request.as_deref(), Some(request));
        }
        for request in [
            "null".to_owned(),
            format!("\"{}\"", "x".repeat(MAX_EVENT_REQUEST_ID_LEN)),
        ] {
            assert_eq!(suffix(&request), "");
        }
        assert_eq!(read("3-4").unwrap().request, None);
    }

    #[test]
    fn malformed_event_ids_are_ignored() {
        for text in ["", "3", "a-b", "3-", "-3-4", "3-4a"] {
            assert_eq!(read(text), None, "{text}");
        }
        let encoded = |text: &str| format!("3-4-{}", URL_SAFE_NO_PAD.encode(text));
        for text in ["{}", "x", "null", &"1".repeat(1000)] {
            assert_eq!(read(&encoded(text)).unwrap().request, None, "{text}");
        }
        assert_eq!(read("3-4-*").unwrap().request, None);
    }
}
