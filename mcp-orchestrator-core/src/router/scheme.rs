//! URI schemes that identify the server of a resource that is in no list.

use std::borrow::Cow;

/// Schemes that identify no server, because any server may refer to such resources.
const COMMON: [&str; 3] = ["http", "https", "file"];

/// Returns the scheme of a URI or URI template in lower case, or `None` if it has none, the scheme is
/// variable, or it is one that any server may use.
pub(super) fn own_scheme(uri: &str) -> Option<Cow<'_, str>> {
    let (scheme, _) = uri.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme {
        return None;
    }
    let scheme = if scheme.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(scheme.to_ascii_lowercase())
    } else {
        Cow::Borrowed(scheme)
    };
    (!COMMON.contains(&&*scheme)).then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::own_scheme;

    #[test]
    fn only_a_literal_scheme_of_its_own_counts() {
        for (uri, scheme) in [
            ("test://a", Some("test")),
            ("Git+SSH:x", Some("git+ssh")),
            ("note://{id}", Some("note")),
            ("urn:isbn:1", Some("urn")),
            ("HTTPS://example.com", None),
            ("http://example.com", None),
            ("file:///a", None),
            ("{scheme}://a", None),
            ("x{y}://a", None),
            ("1a://b", None),
            ("a/b:c", None),
            ("relative", None),
            (":", None),
            ("", None),
        ] {
            assert_eq!(own_scheme(uri).as_deref(), scheme, "{uri}");
        }
    }
}
