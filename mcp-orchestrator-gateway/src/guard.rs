//! What is checked before a request is read: where it comes from, what it accepts, how large it is.

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use http::request::Parts;
use http_body_util::BodyExt as _;
use mcp_orchestrator_core::{Error, ErrorKind, Result};

use crate::forwarded::Forwarded;
use crate::options::Options;

/// Refuses foreign pages: a browser on this machine may be made to call us by any of them (DNS rebinding).
pub(crate) fn origin(parts: &Parts, options: &Options) -> Result<()> {
    host(parts, options)?;
    if let Some(origin) = parts.headers.get(ORIGIN) {
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

/// Refuses other names than ours.
pub(crate) fn host(parts: &Parts, options: &Options) -> Result<()> {
    let forwarded = parts.extensions.get::<Forwarded>();
    let forwarded = forwarded.and_then(|forwarded| forwarded.host.as_deref());
    let host = parts.headers.get(HOST);
    // Over HTTP/2 it stands in the address.
    let host = host.map(|host| host.to_str().unwrap_or_default());
    let host = host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str));
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

/// That nobody can tell who sends a request.
pub(crate) fn nobody(parts: &Parts) -> Error {
    let text = if parts.headers.contains_key(http::header::AUTHORIZATION) {
        "the request's token is none that is known here"
    } else {
        "the request carries nothing that tells who sends it"
    };
    Error::new(ErrorKind::Unauthenticated, text)
}

fn listed(list: &[String], value: &str) -> bool {
    let bare = host_of(value);
    list.iter().any(|allowed| {
        allowed == "*" || allowed.eq_ignore_ascii_case(value) || allowed.eq_ignore_ascii_case(bare)
    })
}

/// The host without its port.
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
pub(crate) fn media_types(parts: &Parts) -> Result<()> {
    let (content, accept) = (parts.headers.get(CONTENT_TYPE), parts.headers.get(ACCEPT));
    // What nearly all clients send.
    if content.is_some_and(|value| value == "application/json")
        && accept.is_some_and(|value| value == "application/json, text/event-stream")
    {
        return Ok(());
    }
    let content = content
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Error::new(
            ErrorKind::UnsupportedMedia,
            "the body must be application/json",
        ));
    }
    let accepts = parts
        .headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut found = (accept.is_none(), accept.is_none());
    for accept in accepts.flat_map(|value| value.split(',')) {
        match accept.split(';').next().unwrap_or_default().trim() {
            "*/*" => found = (true, true),
            "application/json" | "application/*" => found.0 = true,
            "text/event-stream" | "text/*" => found.1 = true,
            _ => {}
        }
    }
    if found == (true, true) {
        return Ok(());
    }
    let text = "the client must accept both application/json and text/event-stream";
    Err(Error::new(ErrorKind::NotAcceptable, text))
}

/// The whole body, within its limit.
pub(crate) async fn body<B>(parts: &Parts, mut body: B, limit: usize) -> Result<Bytes>
where
    B: axum::body::HttpBody<Data = Bytes> + Unpin,
{
    let too_large = || {
        Error::new(
            ErrorKind::TooLarge,
            format!("the body is larger than {limit} bytes"),
        )
    };
    let length = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut whole: Option<BytesMut> = None;
    let mut first = Bytes::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| Error::new(ErrorKind::InvalidRequest, "the body broke off"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.is_empty() && whole.is_none() {
            first = data;
        } else {
            let whole = whole.get_or_insert_with(|| {
                let mut whole =
                    BytesMut::with_capacity(length.unwrap_or(first.len() + data.len()).min(limit));
                whole.extend_from_slice(&first);
                whole
            });
            whole.extend_from_slice(&data);
        }
        if whole.as_ref().map_or(first.len(), BytesMut::len) > limit {
            return Err(too_large());
        }
    }
    Ok(whole.map_or(first, BytesMut::freeze))
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

    #[test]
    fn foreign_hosts_and_origins_are_refused() {
        let mut options = Options::default();
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"] {
            assert!(
                origin(&parts(&[("host", host)]), &options).is_ok(),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
        ] {
            assert!(
                origin(&parts(&[("host", host)]), &options).is_err(),
                "{host}"
            );
        }
        assert!(
            origin(
                &parts(&[("host", "localhost"), ("origin", "https://evil.example")]),
                &options
            )
            .is_err()
        );
        assert!(origin(&parts(&[("origin", "http://localhost:3000")]), &options).is_ok());
        assert!(origin(&parts(&[("origin", "null")]), &options).is_err());
        options.allowed_hosts = vec!["mcp.example".into()];
        options.allowed_origins = vec!["https://app.example".into()];
        assert!(
            origin(
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
        assert!(media_types(&parts(&[json])).is_ok());
        assert!(
            media_types(&parts(&[
                json,
                ("accept", "application/json, text/event-stream;q=0.9")
            ]))
            .is_ok()
        );
        assert!(media_types(&parts(&[json, ("accept", "application/json")])).is_err());
        assert!(media_types(&parts(&[("content-type", "text/plain")])).is_err());
    }
}
