//! Addresses of user interfaces (MCP Apps) that several servers of a gateway use for different resources.
//!
//! Hosts render `ui://` resources by address alone, so an address that two servers use is shown with the server's alias
//! in front, as `ui://server__rest`, and restored in requests.

use super::names::split;
use crate::id::Alias;

const SCHEME: &str = "ui://";

/// Returns the part of a `ui://` address after the scheme.
fn rest(uri: &str) -> Option<&str> {
    let begin = uri.get(..SCHEME.len())?;
    begin
        .eq_ignore_ascii_case(SCHEME)
        .then(|| &uri[SCHEME.len()..])
}

/// Returns `true` for the address of a user interface.
pub(crate) fn is_ui(uri: &str) -> bool {
    rest(uri).is_some()
}

/// Returns the address that clients see if several servers use this one; `None` if it is not of a user interface.
pub(crate) fn shown_ui(alias: &Alias, own: &str) -> Option<String> {
    Some(format!("{SCHEME}{alias}__{}", rest(own)?))
}

/// Returns the alias and the server's own address in an address that clients see, if it has that form.
pub(super) fn own_ui(shown: &str) -> Option<(&str, String)> {
    let (alias, own) = split(rest(shown)?)?;
    Some((alias, format!("{SCHEME}{own}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_addresses_are_restored() {
        let alias = Alias::new("git").unwrap();
        for own in ["ui://app/main.html", "ui://", "ui://a__b/c?d#e", "ui://{x}"] {
            let shown = shown_ui(&alias, own).unwrap();
            assert!(shown.starts_with("ui://git__"), "{shown}");
            assert_eq!(own_ui(&shown), Some(("git", own.to_owned())));
        }
        assert_eq!(shown_ui(&alias, "UI://a").as_deref(), Some("ui://git__a"));
        for other in ["uis://a", "ui:a", "http://a", "", "ui:/", "ué://"] {
            assert_eq!(shown_ui(&alias, other), None, "{other}");
        }
        assert_eq!(own_ui("ui://app/main.html"), None);
    }
}
