//! The names under which a gateway shows the tools and prompts of its servers.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use crate::id::Alias;
use crate::seal::hex;

/// The longest name that is shown; clients refuse longer ones.
pub const LONGEST: usize = 64;
/// Between the server's name and the item's own: an alias has no underscore, so the first one ends it.
const BETWEEN: &str = "__";
/// Digits that end a name which was cut.
const DIGITS: usize = 6;

/// The name that is shown: `server__tool`; over 64 characters it is cut and ended by `_` and six digits of a hash of the
/// full name.
pub fn shown<'a>(alias: &Alias, own: &'a str, prefixed: bool) -> Cow<'a, str> {
    if !prefixed {
        return Cow::Borrowed(own);
    }
    let full = format!("{alias}{BETWEEN}{own}");
    if full.len() <= LONGEST {
        return Cow::Owned(full);
    }
    let digits = hex(&Sha256::digest(&full)[..DIGITS / 2]);
    let cut = full.floor_char_boundary(LONGEST - DIGITS - 1);
    Cow::Owned(format!("{}_{digits}", &full[..cut]))
}

/// Whether a name is so long that it may be one that was cut.
pub fn may_be_cut(shown: &str) -> bool {
    shown.len() >= LONGEST - 3
}

/// What a cut name keeps of the item's own name; `None` where it is not a cut name of this server.
pub(super) fn kept_of_cut<'a>(alias: &Alias, shown: &'a str) -> Option<&'a str> {
    let kept = shown.strip_prefix(alias.as_str())?.strip_prefix(BETWEEN)?;
    let digits = kept.len().checked_sub(DIGITS + 1)?;
    kept.get(..digits)
}

/// The server's name and the item's own (or cut) name of a prefixed one.
pub fn split(shown: &str) -> Option<(&str, &str)> {
    shown.split_once(BETWEEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_stay_apart() {
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
