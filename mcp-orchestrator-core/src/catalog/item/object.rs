//! Repairs object members that a client would reject; a valid object is kept byte for byte.

use std::borrow::Cow;
use std::collections::HashSet;

use super::refusal::Refusal;
use crate::jsonrpc::{Members, quote};

/// What happens to a member.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Keep {
    AsIs,
    /// Remove it: `null` means the same as an absent member, but clients reject it.
    Absent,
    /// Remove and report it: clients reject its value, and the item is usable without it.
    Wrong,
    Instead(String),
}

/// The names of the invalid members that were removed.
pub(super) type Removed = Vec<String>;

/// Parses an object and rejects duplicate members, because parsers disagree on which one counts.
pub(super) fn members(raw: &str) -> Result<Members<'_>, Refusal> {
    let members = Members::read(raw).ok_or(Refusal::NotAnObject)?;
    let mut seen = HashSet::with_capacity(members.0.len());
    match members.0.iter().find(|(key, _)| !seen.insert(key)) {
        Some(_) => Err(Refusal::Twice),
        None => Ok(members),
    }
}

/// Returns the object with each member treated as `judge` decides.
pub(super) fn mend<'a>(
    raw: &'a str,
    removed: &mut Removed,
    mut judge: impl FnMut(&str, &str, &mut Removed) -> Result<Keep, Refusal>,
) -> Result<Cow<'a, str>, Refusal> {
    let members = members(raw)?;
    let mut out = String::new();
    let mut changed = false;
    for (key, value) in &members.0 {
        let keep = judge(key, value.get(), removed)?;
        changed |= keep != Keep::AsIs;
        let value = match keep {
            Keep::AsIs => Cow::Borrowed(value.get()),
            Keep::Instead(value) => Cow::Owned(value),
            Keep::Absent => continue,
            Keep::Wrong => {
                removed.push(key.to_string());
                continue;
            }
        };
        out.push(if out.is_empty() { '{' } else { ',' });
        out.push_str(&quote(key));
        out.push(':');
        out.push_str(&value);
    }
    if !changed {
        return Ok(Cow::Borrowed(raw));
    }
    if out.is_empty() {
        out.push('{');
    }
    out.push('}');
    Ok(Cow::Owned(out))
}

/// Keeps a valid member and removes an invalid one.
pub(super) fn optional(value: &str, is_right: impl FnOnce(&str) -> bool) -> Keep {
    match value {
        "null" => Keep::Absent,
        value if is_right(value) => Keep::AsIs,
        _ => Keep::Wrong,
    }
}

/// Keeps the object, replacing it if it was repaired.
pub(super) fn mended(value: Cow<'_, str>) -> Keep {
    match value {
        Cow::Borrowed(_) => Keep::AsIs,
        Cow::Owned(value) => Keep::Instead(value),
    }
}

pub(super) fn is_text(value: &str) -> bool {
    value.starts_with('"')
}

pub(super) fn is_object(value: &str) -> bool {
    value.starts_with('{')
}

pub(super) fn is_flag(value: &str) -> bool {
    matches!(value, "true" | "false")
}

/// Returns `true` for a list of valid items.
pub(super) fn is_list_of(value: &str, is_right: impl Fn(&str) -> bool) -> bool {
    let items: Option<Vec<&serde_json::value::RawValue>> = serde_json::from_str(value).ok();
    items.is_some_and(|items| items.iter().all(|item| is_right(item.get())))
}
