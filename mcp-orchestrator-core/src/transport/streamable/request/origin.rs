//! Resolves URLs that a server names. Only same-origin URLs are followed, because every request carries a credential.

use http::Uri;

/// Resolves `named` against `base`. Returns its path and query, or `None` if it has another origin or is not a valid
/// URL.
pub(crate) fn resolve(base: &Uri, named: &str) -> Option<String> {
    let named = named.trim();
    let named = named.split('#').next().unwrap_or_default();
    if named.is_empty() {
        return None;
    }
    if let Some(rest) = named.strip_prefix("//") {
        let scheme = base.scheme_str()?;
        return absolute(base, &format!("{scheme}://{rest}"));
    }
    if named.starts_with('/') {
        return target(named);
    }
    if has_scheme(named) {
        return absolute(base, named);
    }
    let path = base.path();
    if named.starts_with('?') {
        return target(&format!("{path}{named}"));
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    relative(folder, named)
}

fn has_scheme(named: &str) -> bool {
    let before = named.split(['/', '?']).next().unwrap_or_default();
    before.contains(':')
}

fn absolute(base: &Uri, named: &str) -> Option<String> {
    let full: Uri = named.parse().ok()?;
    let same = full.scheme() == base.scheme()
        && full.host()?.eq_ignore_ascii_case(base.host()?)
        && port(&full) == port(base);
    if !same {
        return None;
    }
    target(full.path_and_query().map_or("/", |path| path.as_str()))
}

fn port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or(match uri.scheme_str() {
        Some("https") => Some(443),
        _ => Some(80),
    })
}

/// Resolves a relative path against a folder, including `.` and `..`.
fn relative(folder: &str, named: &str) -> Option<String> {
    let (path, query) = match named.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (named, None),
    };
    let mut parts: Vec<&str> = folder.split('/').skip(1).collect();
    let mut last = "";
    for part in path.split('/') {
        if !last.is_empty() {
            parts.push(last);
        }
        last = match part {
            "." => "",
            ".." => {
                parts.pop();
                ""
            }
            part => part,
        };
    }
    parts.push(last);
    let path = parts.join("/");
    match query {
        Some(query) => target(&format!("/{path}?{query}")),
        None => target(&format!("/{path}")),
    }
}

/// Validates a path and query for use in a request line.
fn target(path: &str) -> Option<String> {
    let parsed: http::uri::PathAndQuery = path.parse().ok()?;
    Some(parsed.as_str().to_owned())
}

/// Returns `base` with another path and query.
pub(crate) fn at(base: &Uri, target: &str) -> Uri {
    let mut parts = base.clone().into_parts();
    parts.path_and_query = target.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| base.clone())
}

/// Returns the origin of `named` for an error message. Path and query are omitted because they may hold a secret.
pub(crate) fn shown(base: &Uri, named: &str) -> String {
    let full = match named.strip_prefix("//") {
        Some(rest) => format!("{}://{rest}", base.scheme_str().unwrap_or("http")),
        None => named.to_owned(),
    };
    let parsed: Option<Uri> = full.parse().ok();
    let authority = parsed.as_ref().and_then(|uri| uri.authority());
    match (parsed.as_ref().and_then(Uri::scheme_str), authority) {
        (Some(scheme), Some(authority)) => {
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}")
        }
        _ => "not an address".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_address_must_stay_within_its_origin() {
        let base: Uri = "https://a.example/x/sse?k=1".parse().unwrap();
        for (named, path) in [
            ("/messages?s=1", Some("/messages?s=1")),
            ("messages?s=1", Some("/x/messages?s=1")),
            ("./sse/", Some("/x/sse/")),
            ("../mcp", Some("/mcp")),
            ("../../../mcp", Some("/mcp")),
            ("?k=2", Some("/x/sse?k=2")),
            ("/mcp/#top", Some("/mcp/")),
            ("https://a.example:443/m", Some("/m")),
            ("HTTPS://A.Example/m", Some("/m")),
            ("https://a.example", Some("/")),
            ("//a.example/m", Some("/m")),
            ("https://a.example:444/m", None),
            ("http://a.example/m", None),
            ("https://b.example/m", None),
            ("https://a.example.b.example/m", None),
            ("https://a.example@b.example/m", None),
            ("//b.example/m", None),
            ("//b.example", None),
            ("javascript:x", None),
            ("/a b", None),
            ("/a\r\nhost: b", None),
            ("", None),
        ] {
            assert_eq!(resolve(&base, named).as_deref(), path, "{named}");
        }
    }
}
