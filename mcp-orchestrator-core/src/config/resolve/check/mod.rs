//! Checks for single values: names of variables and headers, networks, URLs, programs.
//!
//! Messages never contain the value, because it may come from a variable.

pub(crate) mod kubernetes;

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue, Uri};

/// Headers that the protocol or the connection controls.
const OWN_HEADERS: [&str; 11] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "transfer-encoding",
];

/// Checks the name of an environment variable.
pub(crate) fn env_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a variable name must not be empty".to_owned());
    }
    let wrong = |c: char| c == '=' || c.is_whitespace() || c.is_control();
    if name.chars().any(wrong) {
        return Err(
            "a variable name must not contain '=', white space or control characters".to_owned(),
        );
    }
    Ok(())
}

/// Parses the name of a header.
pub(crate) fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| "not a valid header name".to_owned())
}

/// Returns `true` if this header is set by the gateway.
pub(crate) fn is_own_header(name: &HeaderName) -> bool {
    OWN_HEADERS.contains(&name.as_str())
}

/// Checks the value of a header.
pub(crate) fn header_value(value: &str) -> Result<(), String> {
    HeaderValue::from_str(value)
        .map(|_| ())
        .map_err(|_| "a header value must not contain line breaks or control characters".to_owned())
}

/// Checks a file name without a directory.
pub(crate) fn file_name(name: &str) -> Result<(), String> {
    let plain = Path::new(name).file_name() == Some(OsStr::new(name));
    if !plain || name.contains(['/', '\\', '\0']) || name.len() > 255 {
        return Err("must be a file name without a folder".to_owned());
    }
    Ok(())
}

/// Parses the URL of a remote server.
pub(crate) fn url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text
        .trim()
        .parse()
        .map_err(|_| "not a valid URL; expected e.g. https://host/path".to_owned())?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(_) => return Err("must start with https:// or http://".to_owned()),
        None => return Err("the URL has no scheme; start it with https:// or http://".to_owned()),
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("the URL has no host".to_owned());
    }
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(
            "the URL contains a user or password; use `headers` or `credentials`".to_owned(),
        );
    }
    Ok(uri)
}

/// Parses a listen address.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let named = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    named.as_deref().unwrap_or(text).parse().map_err(|_| {
        "must be an IP address and a port, e.g. 127.0.0.1:8080, or 0.0.0.0:8080 for all interfaces"
            .to_owned()
    })
}

/// Checks an origin: a scheme, a host and optionally a port.
pub(crate) fn origin(text: &str) -> Result<(), String> {
    let wrong = || "must be an origin without a path, e.g. https://app.example.com".to_owned();
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let bare = !text.ends_with('/') && uri.path_and_query().is_none_or(|rest| rest.as_str() == "/");
    if uri.scheme().is_none() || uri.authority().is_none() || !bare {
        return Err(wrong());
    }
    Ok(())
}

/// Checks a host name with an optional port.
pub(crate) fn host(text: &str) -> Result<(), String> {
    let authority: Result<http::uri::Authority, _> = text.parse();
    match authority {
        Ok(authority) if !authority.host().is_empty() && !text.contains('@') => Ok(()),
        _ => Err("must be a host, e.g. mcp.example.com or mcp.example.com:8443".to_owned()),
    }
}

/// Checks a network with an optional port: `10.0.0.0/8`, `10.1.2.3/32:443`, `[2001:db8::/32]:443`.
pub(crate) fn network(text: &str) -> Result<(), String> {
    let (network, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((network, rest)) = rest.split_once(']') else {
            return Err("unclosed \"[\"".to_owned());
        };
        (
            network,
            rest.strip_prefix(':').or((!rest.is_empty()).then_some("")),
        )
    } else if text.matches(':').count() == 1 {
        let (network, port) = text.split_once(':').unwrap_or((text, ""));
        (network, Some(port))
    } else {
        (text, None)
    };
    if port.is_some_and(|port| {
        port.parse::<u16>().is_ok_and(|port| port == 0) || port.parse::<u16>().is_err()
    }) {
        return Err("the port must be a number from 1 to 65535".to_owned());
    }
    let (address, length) = network
        .split_once('/')
        .map_or((network, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().map_err(|_| {
        "must be all, public, none, or a list of networks, e.g. 10.1.0.0/16 or 10.1.2.3/32:443 (no host names)"
            .to_owned()
    })?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    if length.is_some_and(|length| !length.parse::<u8>().is_ok_and(|length| length <= most)) {
        return Err(format!(
            "the prefix length must be a number from 0 to {most}"
        ));
    }
    Ok(())
}

/// Checks that a program exists, searching `PATH` as the system does.
///
/// # Errors
/// A message that says what to do.
pub(crate) fn program(program: &str, path: Option<&str>) -> Result<(), String> {
    if program.contains('/') {
        return if is_program(Path::new(program)) {
            Ok(())
        } else {
            Err("no executable program at this path".to_owned())
        };
    }
    let path = path.unwrap_or("/usr/local/bin:/usr/bin:/bin");
    let found = std::env::split_paths(path)
        .map(|folder: PathBuf| folder.join(program))
        .any(|file| is_program(&file));
    if found {
        Ok(())
    } else {
        Err(format!(
            "program {program} not found in PATH; install it, or use its full path"
        ))
    }
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file() || file.with_extension("exe").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_validated() {
        for good in [
            "10.0.0.0/8",
            "10.1.2.3",
            "10.1.2.3/32:443",
            "2001:db8::/32",
            "[2001:db8::/32]:443",
            "0.0.0.0/0",
            "::1",
        ] {
            assert!(network(good).is_ok(), "{good}");
        }
        for wrong in [
            "",
            "example.com",
            "10.0.0.0/33",
            "10.0.0.0/8:0",
            "10.0.0.0/8:x",
            "[::1",
            "::/129",
            "10.0.0/8",
            "[::1]x",
        ] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_validated() {
        assert!(url("https://example.com/mcp?x=1").is_ok());
        for wrong in [
            "",
            "example.com",
            "ftp://example.com",
            "/mcp",
            "https://u:p@example.com",
            "https://",
        ] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
        assert!(listen("localhost:0").is_ok() && listen("[::1]:80").is_ok());
        assert!(
            listen(":80").is_err()
                && listen("example.com:80").is_err()
                && listen("127.0.0.1").is_err()
        );
        assert!(origin("https://a.example:8443").is_ok() && origin("http://localhost").is_ok());
        assert!(
            origin("https://a.example/").is_err()
                && origin("a.example").is_err()
                && origin("*").is_err()
        );
        assert!(host("a.example:80").is_ok() && host("a b").is_err() && host("").is_err());
    }

    #[test]
    fn names_are_validated() {
        assert!(env_name("A_b.c").is_ok() && env_name("A=b").is_err() && env_name("").is_err());
        assert!(header_name("X-Key").is_ok() && header_name("X Key").is_err());
        assert!(file_name("token").is_ok());
        for wrong in ["", "..", "a/b", "/a", "."] {
            assert!(file_name(wrong).is_err(), "{wrong}");
        }
    }
}
