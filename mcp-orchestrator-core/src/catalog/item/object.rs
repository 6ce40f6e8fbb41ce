//! Changing an object's members where a client would refuse them; an object that is right stays as it came.

use std::borrow::Cow;
use std::collections::HashSet;

use super::Refusal;
use crate::jsonrpc::{Members, quote};

/// What becomes of a member.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Keep {
    AsIs,
    /// `null` says the same as an absent member, and clients refuse it.
    Absent,
    /// Its value is none that clients take, and the item can do without it.
    Wrong,
    Instead(String),
}

/// The members that were taken away because they were wrong.
pub(super) type Removed = Vec<String>;

/// An object's members, of which none stands twice: readers do not agree on which of two is meant.
pub(super) fn members(raw: &str) -> Result<Members<'_>, Refusal> {
    let members = Members::read(raw).ok_or(Refusal::NotAnObject)?;
    let mut seen = HashSet::with_capacity(members.0.len());
    match members.0.iter().find(|(key, _)| !seen.insert(key)) {
        Some(_) => Err(Refusal::Twice),
        None => Ok(members),
    }
}

/// The object with each member as `judge` says.
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

/// Keeps a member that passes, and does without one that does not.
pub(super) fn optional(value: &str, is_right: impl FnOnce(&str) -> bool) -> Keep {
    match value {
        "null" => Keep::Absent,
        value if is_right(value) => Keep::AsIs,
        _ => Keep::Wrong,
    }
}

/// Keeps the object as it is, or as it was mended.
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

/// Whether it is a list of which each item passes.
pub(super) fn is_list_of(value: &str, is_right: impl Fn(&str) -> bool) -> bool {
    let items: Option<Vec<&serde_json::value::RawValue>> = serde_json::from_str(value).ok();
    items.is_some_and(|items| items.iter().all(|item| is_right(item.get())))
}
