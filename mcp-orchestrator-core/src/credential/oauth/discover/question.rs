//! The probe request to a server, which changes nothing there, and the interpretation of addresses in its response.

use http::Uri;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};

use crate::oauth::origin;
use crate::server::{Injection, OAuthSpec, Remote, ServerSpec};

/// Resolves an address that a server names. Some servers omit their own origin.
pub(super) fn absolute(place: &str, server: &Uri) -> Option<String> {
    let place = place.trim();
    if let Some((scheme, _)) = place.split_once("://") {
        return matches!(scheme, "http" | "https").then(|| place.to_owned());
    }
    if place.is_empty() || place.starts_with("//") || place.contains(':') {
        return None;
    }
    Some(format!(
        "{}/{}",
        origin(server),
        place.trim_start_matches('/')
    ))
}

/// A request that changes nothing and that every protected server rejects without a token.
pub(super) const QUESTION: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"#,
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientCapabilities":{},"#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"mcp-orchestrator","version":"1"}}}}"#
);

/// Returns the headers of the probe: the configured ones, but never a credential.
pub(super) fn question_headers(
    server: &ServerSpec,
    oauth: &OAuthSpec,
    remote: &Remote,
) -> Vec<(HeaderName, HeaderValue)> {
    let of_slot = server.slots.iter().find(|slot| slot.name == oauth.slot);
    let of_slot = of_slot.and_then(|slot| match &slot.inject {
        Injection::Header { name, .. } => HeaderName::from_bytes(name.as_bytes()).ok(),
        _ => None,
    });
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in &remote.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value.expose());
        if let (Ok(name), Ok(mut value)) = (name, value)
            && name != AUTHORIZATION
            && Some(&name) != of_slot.as_ref()
        {
            value.set_sensitive(true);
            headers.push((name, value));
        }
    }
    let fixed = [
        (ACCEPT, "application/json, text/event-stream"),
        (CONTENT_TYPE, "application/json"),
        (
            HeaderName::from_static("mcp-protocol-version"),
            "2026-07-28",
        ),
        (HeaderName::from_static("mcp-method"), "tools/list"),
    ];
    let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
    headers.extend(fixed);
    headers
}

/// Returns a server's URL as a resource identifier: without query and fragment.
pub(super) fn canonical(server: &Uri) -> String {
    format!("{}{}", origin(server), server.path().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_metadata_url_resolves_against_the_server() {
        let server: Uri = "https://a.example:8443/x/mcp".parse().unwrap();
        for (place, found) in [
            ("https://b.example/m", Some("https://b.example/m")),
            (
                "/.well-known/m",
                Some("https://a.example:8443/.well-known/m"),
            ),
            (
                ".well-known/m",
                Some("https://a.example:8443/.well-known/m"),
            ),
            ("", None),
            ("//b.example/m", None),
            ("ftp://b.example/m", None),
            ("data:application/json,{}", None),
        ] {
            assert_eq!(absolute(place, &server).as_deref(), found, "{place}");
        }
    }
}
