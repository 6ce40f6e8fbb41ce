//! Checks before a request body is read: the request's origin, its host and its media types.

use bytes::Bytes;
use http::HeaderValue;
use http::header::ACCEPT;
use http::request::Parts;
use mcp_orchestrator_core::auth::{LocalAuthenticator, Principal, unauthenticated};
use mcp_orchestrator_core::{Error, ErrorKind, Result};

use super::forwarded::Forwarded;
use super::head::Head;
use crate::options::Options;

/// Rejects pages of foreign origins: any of them could make a browser on this machine call the gateway (DNS rebinding).
pub(crate) fn origin(head: &Head<'_>, options: &Options) -> Result<()> {
    host(head, options)?;
    if let Some(origin) = head.origin {
        let origin = origin.to_str().unwrap_or_default();
        let host = origin
            .split_once("://")
            .map_or("", |(_, host)| host_of(host));
        if !is_local(host) && !listed(&options.allowed_origins, origin) {
            return Err(Error::new(
                ErrorKind::Forbidden,
                "this origin is not allowed: add it to allowed_origins",
            ));
        }
    }
    Ok(())
}

/// Rejects a page of another server on this machine that would act as the local user, who needs no token. Such a page
/// may call with a token. The gateway's own pages and those in `allowed_origins` are always allowed.
pub(crate) fn page_of_local_user(
    head: &Head<'_>,
    options: &Options,
    principal: &Principal,
) -> Result<()> {
    if principal.method != LocalAuthenticator::METHOD {
        return Ok(());
    }
    let Some(origin) = head.origin else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let host = head.host.and_then(|host| host.to_str().ok());
    let host = host.or_else(|| head.uri.authority().map(http::uri::Authority::as_str));
    if authority.is_some() && authority == host || listed(&options.allowed_origins, origin) {
        return Ok(());
    }
    let text = "a page of another origin may not act as the local user: add it to allowed_origins, or show a token";
    Err(Error::new(ErrorKind::Forbidden, text))
}

/// Rejects requests for any host other than the gateway's.
pub(crate) fn host(head: &Head<'_>, options: &Options) -> Result<()> {
    let forwarded = head.extensions.get::<Forwarded>();
    let forwarded = forwarded.and_then(|forwarded| forwarded.host.as_deref());
    // HTTP/2 carries the host in the request's address.
    let host = head.host.map(|host| host.to_str().unwrap_or_default());
    let host = host.or_else(|| head.uri.authority().map(http::uri::Authority::as_str));
    if let Some(host) = forwarded.or(host)
        && !is_local(host_of(host))
        && !listed(&options.allowed_hosts, host)
    {
        return Err(Error::new(
            ErrorKind::Forbidden,
            "this host is not allowed: add it to allowed_hosts",
        ));
    }
    Ok(())
}

/// The error for a request without a known caller.
pub(crate) fn nobody(parts: &Parts) -> Error {
    unauthenticated(&parts.headers)
}

fn listed(list: &[String], value: &str) -> bool {
    let bare = host_of(value);
    list.iter().any(|allowed| {
        allowed == "*" || allowed.eq_ignore_ascii_case(value) || allowed.eq_ignore_ascii_case(bare)
    })
}

/// Returns the host without its port.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Checks the media types of a POST.
pub(crate) fn media_types(head: &Head<'_>) -> Result<()> {
    encoding(head)?;
    // Fast path for the headers that nearly all clients send.
    let is = |value: Option<&HeaderValue>, text: &str| value.is_some_and(|value| value == text);
    if is(head.content_type, "application/json")
        && is(head.accept, "application/json, text/event-stream")
    {
        return Ok(());
    }
    is_json(head)?;
    if accepts(head, "application/json") && accepts(head, "text/event-stream") {
        return Ok(());
    }
    let text = "the client must accept both application/json and text/event-stream";
    Err(Error::new(ErrorKind::NotAcceptable, text))
}

/// Strips a byte-order mark, which some clients send although JSON does not allow it.
pub(crate) fn strip_mark(body: Bytes) -> Bytes {
    if body.starts_with(BYTE_ORDER_MARK) {
        return body.slice(BYTE_ORDER_MARK.len()..);
    }
    body
}

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Rejects a body that is not `application/json`.
pub(crate) fn is_json(head: &Head<'_>) -> Result<()> {
    let content = head
        .content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::UnsupportedMedia,
        "the body must be application/json",
    ))
}

/// Rejects an encoded body, such as gzip, because its decoded size is unknown.
pub(crate) fn encoding(head: &Head<'_>) -> Result<()> {
    if !head.is_encoded {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::UnsupportedMedia,
        "the body must not be encoded: no Content-Encoding but identity is accepted",
    ))
}

/// Returns `true` if the client accepts this media type. Names are case-insensitive; without `Accept`, all are
/// accepted.
pub(crate) fn accepts(parts: &Parts, wanted: &str) -> bool {
    if !parts.headers.contains_key(ACCEPT) {
        return true;
    }
    let values = parts.headers.get_all(ACCEPT).iter();
    let mut ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    let (kind, _) = wanted.split_once('/').unwrap_or((wanted, ""));
    ranges.any(|range| {
        range == "*/*"
            || range.eq_ignore_ascii_case(wanted)
            || range
                .strip_suffix("/*")
                .is_some_and(|whole| whole.eq_ignore_ascii_case(kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn origin_of(parts: &Parts, options: &Options) -> Result<()> {
        origin(&Head::of(parts), options)
    }

    fn media_types_of(parts: &Parts) -> Result<()> {
        media_types(&Head::of(parts))
    }

    #[test]
    fn foreign_hosts_and_origins_are_refused() {
        let mut options = Options::default();
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"] {
            assert!(
                origin_of(&parts(&[("host", host)]), &options).is_ok(),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
        ] {
            assert!(
                origin_of(&parts(&[("host", host)]), &options).is_err(),
                "{host}"
            );
        }
        assert!(
            origin_of(
                &parts(&[("host", "localhost"), ("origin", "https://evil.example")]),
                &options
            )
            .is_err()
        );
        assert!(origin_of(&parts(&[("origin", "http://localhost:3000")]), &options).is_ok());
        assert!(origin_of(&parts(&[("origin", "null")]), &options).is_err());
        options.allowed_hosts = vec!["mcp.example".into()];
        options.allowed_origins = vec!["https://app.example".into()];
        assert!(
            origin_of(
                &parts(&[
                    ("host", "mcp.example:443"),
                    ("origin", "https://app.example")
                ]),
                &options
            )
            .is_ok()
        );
    }

    #[test]
    fn both_answers_must_be_accepted() {
        let json = ("content-type", "application/json; charset=utf-8");
        assert!(media_types_of(&parts(&[json])).is_ok());
        assert!(
            media_types_of(&parts(&[
                json,
                ("accept", "application/json, text/event-stream;q=0.9")
            ]))
            .is_ok()
        );
        assert!(media_types_of(&parts(&[json, ("accept", "application/json")])).is_err());
        assert!(media_types_of(&parts(&[("content-type", "text/plain")])).is_err());
        let odd = ("content-type", "Application/JSON;charset=UTF-8");
        for accept in [
            "Application/JSON, Text/Event-Stream",
            "TEXT/*;q=0.5,APPLICATION/*",
            "text/html, */*;q=0.1",
        ] {
            assert!(
                media_types_of(&parts(&[odd, ("accept", accept)])).is_ok(),
                "{accept}"
            );
        }
        let both = [
            odd,
            ("accept", "application/json"),
            ("accept", "text/event-stream"),
        ];
        assert!(media_types_of(&parts(&both)).is_ok());
    }

    #[test]
    fn an_encoded_body_is_refused_before_it_is_read() {
        let json = ("content-type", "application/json");
        for encoding in ["gzip", "GZIP", "br", "identity, gzip", "x-gzip", "deflate"] {
            let error =
                media_types_of(&parts(&[json, ("content-encoding", encoding)])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnsupportedMedia, "{encoding}");
        }
        for plain in ["identity", "Identity", " identity "] {
            assert!(media_types_of(&parts(&[json, ("content-encoding", plain)])).is_ok());
        }
    }
}
