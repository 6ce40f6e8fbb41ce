//! Edits one member of a JSON file with comments. All other text is preserved byte for byte.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use serde_json::value::RawValue;

/// Returns the text with `key.name` set to the value.
///
/// # Errors
/// The reason why the file cannot be edited safely.
pub(super) fn put(text: &str, key: &str, name: &str, value: &Value) -> Result<String, String> {
    let plain = blanked(text);
    if plain.trim().is_empty() {
        // Empty, or only comments.
        return if text.trim().is_empty() {
            Ok(format!(
                "{:#}\n",
                serde_json::json!({ key: { name: value } })
            ))
        } else {
            Err("it holds only comments".to_owned())
        };
    }
    let mut expected: Value =
        serde_json::from_str(&plain).map_err(|error| format!("it is not JSON: {error}"))?;
    if expected[key][name] == *value {
        return Ok(text.to_owned());
    }
    let root = members(&plain, 0..plain.len()).ok_or("it is no JSON object")?;
    let changed = match root.get(key) {
        None => insert(
            text,
            &plain,
            &root,
            0..plain.len(),
            key,
            &serde_json::json!({ name: value }),
            1,
        )?,
        Some(span) => {
            let servers = members(&plain, span.clone())
                .ok_or_else(|| format!("{key:?} in it is no object"))?;
            match servers.get(name) {
                Some(old) => splice(text, old.clone(), &indented(value, 2)),
                None => insert(text, &plain, &servers, span.clone(), name, value, 2)?,
            }
        }
    };
    // Parse the result: it must be the old document plus the new member.
    expected[key][name] = value.clone();
    match serde_json::from_str::<Value>(&blanked(&changed)) {
        Ok(now) if now == expected => Ok(changed),
        _ => Err("it is written in a way that cannot be edited safely".to_owned()),
    }
}

/// Returns the text without `key.name`, or `None` if it has no such member.
///
/// # Errors
/// The reason why the file cannot be edited safely.
pub(super) fn remove(text: &str, key: &str, name: &str) -> Result<Option<String>, String> {
    let plain = blanked(text);
    if plain.trim().is_empty() {
        return Ok(None);
    }
    let mut expected: Value =
        serde_json::from_str(&plain).map_err(|error| format!("it is not JSON: {error}"))?;
    let there = expected.get_mut(key).and_then(Value::as_object_mut);
    if there.and_then(|servers| servers.remove(name)).is_none() {
        return Ok(None);
    }
    let unsafe_form = || "it is written in a way that cannot be edited safely".to_owned();
    let root = members(&plain, 0..plain.len()).ok_or_else(unsafe_form)?;
    let servers = root
        .get(key)
        .and_then(|span| members(&plain, span.clone()))
        .ok_or_else(unsafe_form)?;
    let value = servers.get(name).ok_or_else(unsafe_form)?;
    // Also remove the name, the colon, and the comma before or after the member.
    let quoted = Value::from(name).to_string();
    let start = plain[..value.start]
        .rfind(&quoted)
        .ok_or_else(unsafe_form)?;
    let before = plain[..start].trim_end();
    let behind = &plain[value.end..];
    let gap = behind.len() - behind.trim_start().len();
    let range = if let Some(rest) = before.strip_suffix(',') {
        rest.len()..value.end
    } else if behind.trim_start().starts_with(',') {
        before.len()..value.end + gap + 1
    } else {
        before.len()..value.end
    };
    let changed = splice(text, range, "");
    match serde_json::from_str::<Value>(&blanked(&changed)) {
        Ok(now) if now == expected => Ok(Some(changed)),
        _ => Err(unsafe_form()),
    }
}

/// Returns the members of an object and the ranges of their values. `None` if the text is not an object.
fn members(plain: &str, span: Range<usize>) -> Option<BTreeMap<String, Range<usize>>> {
    #[derive(serde::Deserialize)]
    struct Object<'a>(#[serde(borrow)] BTreeMap<String, &'a RawValue>);
    let part = &plain[span];
    if !part.trim_start().starts_with('{') {
        return None;
    }
    let Object(found) = serde_json::from_str(part).ok()?;
    let place = |raw: &RawValue| {
        let start = raw.get().as_ptr() as usize - plain.as_ptr() as usize;
        start..start + raw.get().len()
    };
    Some(
        found
            .into_iter()
            .map(|(name, raw)| (name, place(raw)))
            .collect(),
    )
}

/// Inserts a member at the start of an object.
fn insert(
    text: &str,
    plain: &str,
    members: &BTreeMap<String, Range<usize>>,
    span: Range<usize>,
    name: &str,
    value: &Value,
    depth: usize,
) -> Result<String, String> {
    let open = plain[span.clone()]
        .find('{')
        .ok_or("it is no JSON object")?;
    let at = span.start + open + 1;
    let blanks = "  ".repeat(depth);
    let member = format!(
        "\n{blanks}{}: {}",
        Value::from(name),
        indented(value, depth)
    );
    let end = if members.is_empty() {
        format!("\n{}", "  ".repeat(depth - 1))
    } else {
        ",".to_owned()
    };
    Ok(splice(text, at..at, &format!("{member}{end}")))
}

fn indented(value: &Value, depth: usize) -> String {
    format!("{value:#}").replace('\n', &format!("\n{}", "  ".repeat(depth)))
}

fn splice(text: &str, range: Range<usize>, addition: &str) -> String {
    format!("{}{addition}{}", &text[..range.start], &text[range.end..])
}

/// Replaces comments and trailing commas with spaces, so that byte offsets do not change.
fn blanked(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    if text.starts_with('\u{feff}') {
        bytes[..3].fill(b' ');
    }
    let (mut at, mut comma) = (0, None);
    while at < bytes.len() {
        let start = at;
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', _) => {
                at = string_end(&bytes, at);
                comma = None;
            }
            (b'/', Some(b'/')) => {
                at = bytes[at..]
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map_or(bytes.len(), |end| start + end);
                blank(&mut bytes[start..at]);
            }
            (b'/', Some(b'*')) => {
                at = text[start + 2..]
                    .find("*/")
                    .map_or(bytes.len(), |end| start + end + 4);
                blank(&mut bytes[start..at]);
            }
            (byte, _) => {
                if matches!(byte, b'}' | b']')
                    && let Some(comma) = comma
                {
                    bytes[comma] = b' ';
                }
                if byte == b',' {
                    comma = Some(at);
                } else if !byte.is_ascii_whitespace() {
                    comma = None;
                }
                at += 1;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put_url(text: &str) -> Result<String, String> {
        put(text, "mcpServers", "gw", &json!({"url": "http://x/mcp"}))
    }

    #[test]
    fn existing_text_is_preserved() {
        let text = "\u{feff}// mine\n{\n  \"theme\": \"a // b\", /* é */\n  \"n\": 123456789012345678901234567890,\n  \
                    \"mcpServers\": {\n    // first\n    \"a\": {\"command\": \"x\",},\n  },\n}\n";
        let now = put_url(text).unwrap();
        let added = "\n    \"gw\": {\n      \"url\": \"http://x/mcp\"\n    },";
        assert!(now.contains(added), "{now}");
        assert_eq!(now.replacen(added, "", 1), text);
        assert_eq!(put_url(&now).unwrap(), now, "a second time changes nothing");
    }

    #[test]
    fn entry_is_inserted_into_any_object() {
        for text in [
            "",
            "{}",
            "{ }",
            "{\"a\": 1}",
            "{\"mcpServers\": {}}",
            "{\"mcpServers\":{\"gw\":{\"url\":1}}}",
        ] {
            let now = put_url(text).unwrap();
            let value: Value = serde_json::from_str(&now).unwrap();
            assert_eq!(value["mcpServers"]["gw"]["url"], "http://x/mcp", "{now}");
            assert_eq!(text.contains("\"a\""), value["a"] == 1);
        }
    }

    #[test]
    fn uneditable_text_is_rejected() {
        for text in [
            "[1]",
            "{",
            "// only",
            "{\"mcpServers\": []}",
            "{\"mcpServers\": null}",
            "{a: 1}",
            "1",
        ] {
            assert!(put_url(text).is_err(), "{text}");
        }
    }
}
