//! Trace context (W3C) of calls, which connects the spans of clients, of this program and of servers to one trace.
//!
//! The library emits `tracing` spans only. A program that exports them implements [`TracePropagator`], so that the trace
//! of a caller continues here and at the servers.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

use crate::jsonrpc::{Members, text};

/// The header, and the member of `_meta`, that names the parent span.
pub const TRACEPARENT: &str = "traceparent";
/// The header, and the member of `_meta`, with the data of tracing systems.
pub const TRACESTATE: &str = "tracestate";

/// Length of a `traceparent` of version 00, the only one.
const TRACEPARENT_LEN: usize = 55;
/// Maximum length of a `tracestate`, which every system must support; a longer one is dropped.
const MAX_TRACESTATE_LEN: usize = 512;

/// Continues traces across processes.
pub trait TracePropagator: fmt::Debug + Send + Sync + 'static {
    /// Makes the caller's span the parent of `span`, which has not been entered yet.
    fn set_parent(&self, span: &Span, caller: &TraceContext);

    /// Returns the context that makes spans of a server children of `span`, or `None` if the span is not part of a
    /// trace.
    fn context(&self, span: &Span) -> Option<TraceContext>;
}

/// A position in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    traceparent: String,
    tracestate: Option<String>,
}

impl TraceContext {
    /// Creates a context from the values of the two headers. Returns `None` if `traceparent` is invalid; an invalid or
    /// long `tracestate` is dropped.
    pub fn new(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let is_state = |state: &&str| {
            !state.is_empty()
                && state.len() <= MAX_TRACESTATE_LEN
                && state.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        is_traceparent(traceparent).then(|| Self {
            traceparent: traceparent.to_owned(),
            tracestate: tracestate.filter(is_state).map(str::to_owned),
        })
    }

    /// Reads the context from headers.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self::new(value(TRACEPARENT)?, value(TRACESTATE))
    }

    /// Reads the context from the JSON of a `_meta` object.
    pub(crate) fn from_meta(meta: &str) -> Option<Self> {
        let members = Members::read(meta)?;
        let value = |name| members.get(name).and_then(text);
        Self::new(&value(TRACEPARENT)?, value(TRACESTATE).as_deref())
    }

    /// Returns the value of the header `traceparent`.
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// Returns the value of the header `tracestate`, if any.
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// Sets the headers.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        let mut set = |name: &'static str, value: Option<&str>| {
            let name = HeaderName::from_static(name);
            match value.and_then(|value| HeaderValue::from_str(value).ok()) {
                Some(value) => headers.insert(name, value),
                None => headers.remove(name),
            };
        };
        set(TRACEPARENT, Some(self.traceparent()));
        set(TRACESTATE, self.tracestate());
    }

    /// Returns the members of `_meta`, as JSON without braces.
    pub(crate) fn members(&self) -> String {
        use crate::jsonrpc::quote;
        let mut members = format!("\"{TRACEPARENT}\":\"{}\"", self.traceparent);
        if let Some(state) = &self.tracestate {
            members.push_str(&format!(",\"{TRACESTATE}\":"));
            members.push_str(&quote(state));
        }
        members
    }
}

/// Returns `true` for a `traceparent` of version 00 whose ids are not zero.
fn is_traceparent(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != TRACEPARENT_LEN || !text.starts_with("00-") {
        return false;
    }
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_id = |id: &[u8]| id.iter().all(is_hex) && id.iter().any(|byte| *byte != b'0');
    let separated = bytes[35] == b'-' && bytes[52] == b'-';
    separated && is_id(&bytes[3..35]) && is_id(&bytes[36..52]) && bytes[53..].iter().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn only_valid_contexts_are_accepted() {
        assert!(TraceContext::new(PARENT, None).is_some());
        let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let upper = "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01";
        for wrong in [
            "",
            "00",
            zero,
            upper,
            &PARENT[..54],
            &PARENT.replace('-', "_"),
        ] {
            assert_eq!(TraceContext::new(wrong, None), None, "{wrong}");
        }
        let long = "a".repeat(513);
        for state in ["", "a=\n", "ä=1", &long] {
            let context = TraceContext::new(PARENT, Some(state)).unwrap();
            assert_eq!(context.tracestate(), None, "{state:?}");
        }
    }

    #[test]
    fn headers_and_meta_hold_the_same_context() {
        let context = TraceContext::new(PARENT, Some("a=\"1\"")).unwrap();
        let mut headers = HeaderMap::new();
        context.write_headers(&mut headers);
        assert_eq!(TraceContext::from_headers(&headers), Some(context.clone()));
        let meta = format!("{{{}}}", context.members());
        assert_eq!(TraceContext::from_meta(&meta), Some(context));
        let plain = TraceContext::new(PARENT, None).unwrap();
        plain.write_headers(&mut headers);
        assert_eq!(TraceContext::from_headers(&headers), Some(plain));
    }
}
