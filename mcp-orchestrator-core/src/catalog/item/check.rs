//! Checks an item as clients do before they accept the list that contains it.
//!
//! Common client libraries reject a whole list because of one item that violates the protocol. An item without a
//! required member is therefore left out, and an optional member that no client could read is removed. Nothing that a
//! client accepts is changed.

use std::borrow::Cow;

use super::object::{
    Keep, Removed, is_flag, is_list_of, is_object, is_text, members, mend, mended, optional,
};
use super::refusal::Refusal;
use super::schema;
use crate::jsonrpc::text;
use crate::router::ItemKind;

/// Returns the item as clients accept it, with the names of the invalid members that were removed.
pub(super) fn check(kind: ItemKind, raw: &str) -> Result<(Cow<'_, str>, Removed), Refusal> {
    let mut removed = Vec::new();
    let item = mend(raw, &mut removed, |key, value, removed| match kind {
        ItemKind::Tool => tool(key, value, removed),
        ItemKind::Prompt => prompt(key, value),
        ItemKind::Resource | ItemKind::Template => resource(kind, key, value, removed),
    })?;
    Ok((item, removed))
}

fn tool(key: &str, value: &str, removed: &mut Removed) -> Result<Keep, Refusal> {
    Ok(match key {
        "inputSchema" => schema::object_schema(value, removed)?,
        // Which results a legacy client accepts is decided when the list is shown.
        "outputSchema" => optional(value, |value| is_object(value) || is_flag(value)),
        "annotations" => object(value, removed, |key, value| match key {
            "title" => optional(value, is_text),
            "readOnlyHint" | "destructiveHint" | "idempotentHint" | "openWorldHint" => {
                optional(value, is_flag)
            }
            _ => Keep::AsIs,
        })?,
        "execution" => object(value, removed, |key, value| match key {
            "taskSupport" => optional(value, |value| {
                is_one_of(value, &["required", "optional", "forbidden"])
            }),
            _ => Keep::AsIs,
        })?,
        _ => common(key, value),
    })
}

fn prompt(key: &str, value: &str) -> Result<Keep, Refusal> {
    if key != "arguments" {
        return Ok(common(key, value));
    }
    if value == "null" {
        return Ok(Keep::Absent);
    }
    let items: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(value).map_err(|_| Refusal::Arguments)?;
    let mut changed = false;
    let mut mended = Vec::with_capacity(items.len());
    for item in items {
        let argument = argument(item.get())?;
        changed |= matches!(argument, Cow::Owned(_));
        mended.push(argument);
    }
    Ok(if changed {
        Keep::Instead(format!("[{}]", mended.join(",")))
    } else {
        Keep::AsIs
    })
}

fn argument(raw: &str) -> Result<Cow<'_, str>, Refusal> {
    let name = members(raw).map_err(|_| Refusal::Arguments)?.get("name");
    if !name.is_some_and(is_text) {
        return Err(Refusal::Arguments);
    }
    mend(raw, &mut Vec::new(), |key, value, _| {
        Ok(match key {
            "title" | "description" => optional(value, is_text),
            "required" => optional(value, is_flag),
            _ => Keep::AsIs,
        })
    })
}

fn resource(
    kind: ItemKind,
    key: &str,
    value: &str,
    removed: &mut Removed,
) -> Result<Keep, Refusal> {
    Ok(match key {
        "mimeType" => optional(value, is_text),
        "size" if kind == ItemKind::Resource => optional(value, is_whole),
        "annotations" => object(value, removed, |key, value| match key {
            "audience" => optional(value, |list| {
                is_list_of(list, |one| is_one_of(one, &["user", "assistant"]))
            }),
            "priority" => optional(value, is_share),
            "lastModified" => optional(value, is_time),
            _ => Keep::AsIs,
        })?,
        _ => common(key, value),
    })
}

/// Checks the members that every kind of item may have.
fn common(key: &str, value: &str) -> Keep {
    match key {
        "title" | "description" => optional(value, is_text),
        "icons" => optional(value, |list| is_list_of(list, is_icon)),
        "_meta" => optional(value, is_object),
        _ => Keep::AsIs,
    }
}

/// Checks a member that is an object, and removes its invalid members.
fn object(
    value: &str,
    removed: &mut Removed,
    judge: impl Fn(&str, &str) -> Keep,
) -> Result<Keep, Refusal> {
    if !is_object(value) {
        return Ok(optional(value, is_object));
    }
    mend(value, removed, |key, value, _| Ok(judge(key, value))).map(mended)
}

fn is_icon(raw: &str) -> bool {
    members(raw).is_ok_and(|icon| {
        let right = |key, is_right: fn(&str) -> bool| icon.get(key).is_none_or(is_right);
        icon.get("src").is_some_and(is_text)
            && right("mimeType", is_text)
            && right("sizes", |sizes| is_list_of(sizes, is_text))
            && right("theme", |theme| is_one_of(theme, &["light", "dark"]))
    })
}

fn is_one_of(value: &str, words: &[&str]) -> bool {
    text(value).is_some_and(|value| words.contains(&&*value))
}

/// Returns `true` for a whole number that every language can represent.
fn is_whole(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_share(value: &str) -> bool {
    !is_text(value)
        && value
            .parse::<f64>()
            .is_ok_and(|number| (0.0..=1.0).contains(&number))
}

/// Returns `true` for a date and time with a time zone (RFC 3339).
fn is_time(value: &str) -> bool {
    let Some(value) = text(value) else {
        return false;
    };
    let Some((date, time)) = value.split_once('T') else {
        return false;
    };
    let zone = time.find(['Z', '+', '-']).map(|at| time.split_at(at));
    let Some((time, zone)) = zone else {
        return false;
    };
    let is_like = |text: &str, form: &str| {
        let digit = |(one, form): (u8, u8)| {
            if form == b'0' {
                one.is_ascii_digit()
            } else {
                one == form
            }
        };
        text.len() == form.len() && text.bytes().zip(form.bytes()).all(digit)
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let in_range = |text: &str, from: usize, range: std::ops::RangeInclusive<u8>| {
        text.get(from..from + 2)
            .and_then(|two| two.parse().ok())
            .is_some_and(|number| range.contains(&number))
    };
    is_like(date, "0000-00-00")
        && in_range(date, 5, 1..=12)
        && in_range(date, 8, 1..=31)
        && is_like(time, "00:00:00")
        && in_range(time, 0, 0..=23)
        && in_range(time, 3, 0..=59)
        && in_range(time, 6, 0..=59)
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && (zone == "Z" || is_like(&zone[1..], "00:00"))
}
