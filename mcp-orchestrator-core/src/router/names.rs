//! The names under which a gateway shows the tools and prompts of its servers.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use crate::id::Alias;
use crate::seal::hex;

/// Maximum length of a shown name in bytes; clients reject longer names.
pub const MAX_NAME_LEN: usize = 64;
/// Separates the alias from the item's own name. An alias contains no underscore, so the first separator ends it.
const ALIAS_SEPARATOR: &str = "__";
/// Number of hash digits at the end of a truncated name.
const DIGITS: usize = 6;

/// Returns the name to show: `server__tool`. A name longer than 64 bytes is truncated and ends with `_` and six
/// hexadecimal digits of a hash of the full name.
pub fn shown<'a>(alias: &Alias, own: &'a str, prefixed: bool) -> Cow<'a, str> {
    if !prefixed {
        return Cow::Borrowed(own);
    }
    let full = format!("{alias}{ALIAS_SEPARATOR}{own}");
    if full.len() <= MAX_NAME_LEN {
        return Cow::Owned(full);
    }
    let digits = hex(&Sha256::digest(&full)[..DIGITS / 2]);
    let cut = full.floor_char_boundary(MAX_NAME_LEN - DIGITS - 1);
    Cow::Owned(format!("{}_{digits}", &full[..cut]))
}

/// Returns `true` if a name is long enough to be a truncated one.
pub fn may_be_cut(shown: &str) -> bool {
    shown.len() >= MAX_NAME_LEN - 3
}

/// Returns the part of the item's own name that a truncated name keeps, or `None` if it is not a truncated name of this
/// server.
pub(super) fn kept_of_cut<'a>(alias: &Alias, shown: &'a str) -> Option<&'a str> {
    let kept = shown
        .strip_prefix(alias.as_str())?
        .strip_prefix(ALIAS_SEPARATOR)?;
    let digits = kept.len().checked_sub(DIGITS + 1)?;
    kept.get(..digits)
}

/// Splits a prefixed name into the alias and the item's own (or truncated) name.
pub fn split(shown: &str) -> Option<(&str, &str)> {
    // Aliases are short, so that a searcher would cost more than it saves.
    let mut pairs = shown.as_bytes().windows(ALIAS_SEPARATOR.len());
    let at = pairs.position(|pair| pair == ALIAS_SEPARATOR.as_bytes())?;
    Some((&shown[..at], &shown[at + ALIAS_SEPARATOR.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_truncated_and_stay_distinct() {
        let alias = Alias::new("github").unwrap();
        assert_eq!(shown(&alias, "get_issue", true), "github__get_issue");
        assert_eq!(shown(&alias, "get_issue", false), "get_issue");
        let (one, two) = ("x".repeat(60) + "1", "x".repeat(60) + "2");
        let (first, second) = (shown(&alias, &one, true), shown(&alias, &two, true));
        assert_eq!((first.len(), second.len()), (64, 64));
        assert_ne!(first, second);
        assert_eq!(split("github__get__issue"), Some(("github", "get__issue")));
        let kept = kept_of_cut(&alias, &first).unwrap();
        assert!(one.starts_with(kept) && kept.len() == 64 - 8 - 7, "{kept}");
        assert_eq!(kept_of_cut(&alias, "gitlab__x"), None);
        assert_eq!(kept_of_cut(&alias, "github__x"), None);
        assert_eq!(
            shown(&alias, &"é".repeat(40), true)
                .chars()
                .last()
                .map(|c| c.is_ascii_hexdigit()),
            Some(true)
        );
    }
}
