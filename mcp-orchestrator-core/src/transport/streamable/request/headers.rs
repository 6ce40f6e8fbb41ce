//! Request heads as prepared bytes: a part shared by all requests to an endpoint, and a part per request.

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING,
    USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::runtime::HeaderCell;
use crate::trace_context::TraceContext;

const AGENT: &str = concat!("mcp-orchestrator/", env!("CARGO_PKG_VERSION"));

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Delete,
}

impl Verb {
    const ALL: [Self; 3] = [Self::Get, Self::Post, Self::Delete];

    fn text(self) -> &'static [u8] {
        match self {
            Self::Get => b"GET ",
            Self::Post => b"POST ",
            Self::Delete => b"DELETE ",
        }
    }
}

/// Header fields, each as one line.
#[derive(Clone, Default)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    pub(crate) fn push(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.line(name, value.as_bytes());
    }

    fn line(&mut self, name: &HeaderName, value: &[u8]) {
        self.0.extend_from_slice(name.as_str().as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
    }

    /// Returns a copy with the headers of a trace.
    pub(crate) fn with(&self, trace: &TraceContext) -> Self {
        let mut headers = HeaderMap::new();
        trace.write_headers(&mut headers);
        let mut lines = self.clone();
        for (name, value) in &headers {
            lines.push(name, value);
        }
        lines
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

/// Prepared request heads, rebuilt when the headers of the credential change.
#[derive(Debug)]
pub(crate) struct Heads {
    target: String,
    host: String,
    cell: HeaderCell,
    written: ArcSwapOption<Written>,
}

struct Written {
    from: Arc<HeaderMap>,
    of: [Lines; 3],
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}

impl Heads {
    /// `target` is a path with its query, `host` the value of the `Host` field.
    pub(crate) fn new(target: &str, host: &str, cell: HeaderCell) -> Self {
        Self {
            target: target.to_owned(),
            host: host.to_owned(),
            cell,
            written: ArcSwapOption::empty(),
        }
    }

    /// Returns the same heads for another path.
    pub(crate) fn at(self, target: &str) -> Self {
        Self::new(target, &self.host, self.cell)
    }

    /// Returns the current headers of the credential.
    pub(crate) fn credential(&self) -> Arc<HeaderMap> {
        Arc::clone(&self.cell.get())
    }

    /// Returns the query of the URL.
    pub(crate) fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// Builds the head of a request to another path of the same origin.
    pub(crate) fn redirected(&self, verb: Verb, target: &str) -> Lines {
        self.write(verb, target, &self.cell.get())
    }

    /// Returns the prepared head for this method.
    pub(crate) fn of(&self, verb: Verb) -> impl AsRef<[u8]> + use<> {
        let from = self.cell.get();
        let known = self.written.load();
        if let Some(written) = &*known
            && Arc::ptr_eq(&written.from, &from)
        {
            return Ready(known, verb);
        }
        let of = Verb::ALL.map(|verb| self.write(verb, &self.target, &from));
        let from = Arc::clone(&from);
        let new = Some(Arc::new(Written { from, of }));
        self.written.store(new.clone());
        Ready(Guard::from_inner(new), verb)
    }

    fn write(&self, verb: Verb, target: &str, cell: &HeaderMap) -> Lines {
        let mut lines = Lines::default();
        lines.0.extend_from_slice(verb.text());
        lines.0.extend_from_slice(target.as_bytes());
        lines.0.extend_from_slice(b" HTTP/1.1\r\n");
        lines.line(&HOST, self.host.as_bytes());
        let ours: &[(HeaderName, &str)] = match verb {
            Verb::Post => &[
                (USER_AGENT, AGENT),
                (CONTENT_TYPE, "application/json"),
                (ACCEPT, "application/json, text/event-stream"),
                (ACCEPT_ENCODING, "identity"),
            ],
            Verb::Get | Verb::Delete => &[
                (USER_AGENT, AGENT),
                (ACCEPT, "text/event-stream"),
                (ACCEPT_ENCODING, "identity"),
            ],
        };
        for (name, value) in ours {
            if !cell.contains_key(name) {
                lines.line(name, value.as_bytes());
            }
        }
        for (name, value) in cell.iter().filter(|(name, _)| !is_protocols(name)) {
            lines.push(name, value);
        }
        lines
    }
}

struct Ready(Guard<Option<Arc<Written>>>, Verb);

impl AsRef<[u8]> for Ready {
    fn as_ref(&self) -> &[u8] {
        let written = self.0.as_ref();
        written.map_or(&[], |written| written.of[self.1 as usize].bytes())
    }
}

/// Returns `true` for fields that the protocol controls; a configured header cannot replace them.
fn is_protocols(name: &HeaderName) -> bool {
    [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
        || name.as_str().starts_with("mcp-")
        || *name == "last-event-id"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_heads_follow_the_credential() {
        let cell = HeaderCell::new(HeaderMap::new());
        let heads = Heads::new("/mcp?x=1", "a.example:1", cell.clone());
        let text = |verb| String::from_utf8(heads.of(verb).as_ref().to_vec()).unwrap();
        assert_eq!(
            text(Verb::Get),
            format!(
                "GET /mcp?x=1 HTTP/1.1\r\nhost: a.example:1\r\nuser-agent: {AGENT}\r\naccept: text/event-stream\r\naccept-encoding: identity\r\n"
            )
        );
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer x"));
        headers.insert("user-agent", HeaderValue::from_static("other"));
        headers.insert("host", HeaderValue::from_static("elsewhere"));
        headers.insert("mcp-session-id", HeaderValue::from_static("mine"));
        cell.set(headers);
        let post = text(Verb::Post);
        assert!(post.contains("authorization: Bearer x\r\n"), "{post}");
        assert!(
            post.contains("user-agent: other\r\n") && !post.contains(AGENT),
            "{post}"
        );
        assert!(
            !post.contains("elsewhere") && !post.contains("mine"),
            "{post}"
        );
        assert!(!format!("{heads:?}").contains("Bearer"));
    }
}
