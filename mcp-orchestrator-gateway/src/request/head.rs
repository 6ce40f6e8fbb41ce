//! The header fields that every request is judged by, found in one pass.

use std::ops::Deref;

use http::HeaderValue;
use http::request::Parts;
use mcp_orchestrator_core::protocol::header::{PROTOCOL_VERSION, SESSION_ID};

/// The parts of a request with these fields. A lookup in the headers hashes the name; one pass over the few fields of a
/// request costs as much as three lookups and replaces eleven.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    parts: &'a Parts,
    pub(crate) host: Option<&'a HeaderValue>,
    pub(crate) origin: Option<&'a HeaderValue>,
    pub(crate) authorization: Option<&'a HeaderValue>,
    pub(crate) content_type: Option<&'a HeaderValue>,
    pub(crate) accept: Option<&'a HeaderValue>,
    pub(crate) session: Option<&'a HeaderValue>,
    pub(crate) version: Option<&'a HeaderValue>,
    /// Set if the version is given more than once.
    pub(crate) repeats_version: bool,
    /// Set if the body is encoded, as by gzip.
    pub(crate) is_encoded: bool,
}

impl<'a> Head<'a> {
    /// Finds the fields. Of a repeated one, the first counts.
    pub(crate) fn of(parts: &'a Parts) -> Self {
        let mut head = Self {
            parts,
            host: None,
            origin: None,
            authorization: None,
            content_type: None,
            accept: None,
            session: None,
            version: None,
            repeats_version: false,
            is_encoded: false,
        };
        for (name, value) in &parts.headers {
            let field = match name.as_str() {
                "host" => &mut head.host,
                "origin" => &mut head.origin,
                "authorization" => &mut head.authorization,
                "content-type" => &mut head.content_type,
                "accept" => &mut head.accept,
                SESSION_ID => &mut head.session,
                PROTOCOL_VERSION => {
                    head.repeats_version |= head.version.is_some();
                    &mut head.version
                }
                "content-encoding" => {
                    let coding = value.as_bytes().trim_ascii();
                    head.is_encoded |= !coding.eq_ignore_ascii_case(b"identity");
                    continue;
                }
                _ => continue,
            };
            field.get_or_insert(value);
        }
        head
    }
}

impl Deref for Head<'_> {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_of_a_repeated_field_counts() {
        let request = http::Request::builder()
            .header("Origin", "a")
            .header("origin", "b")
            .header("MCP-Protocol-Version", "1")
            .header("mcp-session-id", "s")
            .header("content-encoding", "identity")
            .header("mcp-protocol-version", "2");
        let parts = request.body(()).unwrap().into_parts().0;
        let head = Head::of(&parts);
        let text =
            |value: Option<&HeaderValue>| value.map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(text(head.origin).as_deref(), Some("a"));
        assert_eq!(text(head.version).as_deref(), Some("1"));
        assert_eq!(text(head.session).as_deref(), Some("s"));
        assert!(head.repeats_version && !head.is_encoded && head.host.is_none());
        let request = http::Request::builder()
            .header("content-encoding", "identity")
            .header("content-encoding", "GZIP");
        let parts = request.body(()).unwrap().into_parts().0;
        assert!(Head::of(&parts).is_encoded);
    }
}
