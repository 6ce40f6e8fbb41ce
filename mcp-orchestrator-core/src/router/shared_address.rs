//! Addresses that several servers of a gateway use for different resources, of schemes whose addresses may be changed:
//! user interfaces (MCP Apps) and skills (SEP-2640).
//!
//! Hosts use them by address alone, so they are shown with the server's alias in front, and restored in requests:
//! `ui://server__rest`, and `skill://server__/rest`, because the last segment of a skill's path is its name.

use super::names::split;
use crate::id::Alias;

const UI: &str = "ui://";
const SKILL: &str = "skill://";
const SEPARATOR: &str = "__";

/// Returns the part of an address after this scheme.
fn rest<'a>(uri: &'a str, scheme: &str) -> Option<&'a str> {
    let begin = uri.get(..scheme.len())?;
    begin
        .eq_ignore_ascii_case(scheme)
        .then(|| &uri[scheme.len()..])
}

/// Returns `true` for the address of a skill or one of its files.
pub(crate) fn is_skill(uri: &str) -> bool {
    rest(uri, SKILL).is_some()
}

/// Returns `true` for an address that clients may see differently than the server does.
pub(crate) fn may_be_changed(uri: &str) -> bool {
    rest(uri, UI).is_some() || is_skill(uri)
}

/// Returns the address that clients see if several servers use this one; `None` if it may not be changed.
pub(crate) fn shown_address(alias: &Alias, own: &str) -> Option<String> {
    if let Some(rest) = rest(own, UI) {
        return Some(format!("{UI}{alias}{SEPARATOR}{rest}"));
    }
    Some(format!("{SKILL}{alias}{SEPARATOR}/{}", rest(own, SKILL)?))
}

/// Returns the alias and the server's own address in an address that clients see, if it has that form.
pub(super) fn own_address(shown: &str) -> Option<(&str, String)> {
    if let Some(rest) = rest(shown, UI) {
        let (alias, own) = split(rest)?;
        return Some((alias, format!("{UI}{own}")));
    }
    let (first, own) = rest(shown, SKILL)?.split_once('/')?;
    let alias = first.strip_suffix(SEPARATOR)?;
    Some((alias, format!("{SKILL}{own}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_addresses_are_restored() {
        let alias = Alias::new("git").unwrap();
        for own in [
            "ui://app/main.html",
            "ui://",
            "ui://a__b/c?d#e",
            "ui://{x}",
            "skill://one/SKILL.md",
            "skill://acme/one/a.txt",
            "skill://one__/SKILL.md",
            "skill://git__/one/SKILL.md",
            "skill://",
        ] {
            let shown = shown_address(&alias, own).unwrap();
            assert!(may_be_changed(&shown), "{shown}");
            assert!(shown.contains("://git__"), "{shown}");
            assert_eq!(own_address(&shown), Some(("git", own.to_owned())));
        }
        let shown = |own| shown_address(&alias, own);
        assert_eq!(shown("UI://a").as_deref(), Some("ui://git__a"));
        assert_eq!(shown("Skill://a").as_deref(), Some("skill://git__/a"));
        for other in [
            "uis://a",
            "ui:a",
            "http://a",
            "",
            "ui:/",
            "u\u{e9}://",
            "skills://a",
        ] {
            assert_eq!(shown(other), None, "{other}");
        }
        for own in [
            "ui://app/main.html",
            "skill://one/SKILL.md",
            "skill://git__",
            "x://git__/a",
        ] {
            assert_eq!(own_address(own), None, "{own}");
        }
    }
}
