//! Converts a value of a file to JSON text that keeps every digit of its numbers.

use super::diagnostics::KeyPath;
use super::node::{Node, Value};
use crate::jsonrpc::quote;

/// A value that JSON cannot represent: where it is, and why.
pub(super) type Unrepresentable = (KeyPath, String);

/// Returns a value as JSON. A text without quotes is a number or a boolean if YAML 1.2 says so.
pub(super) fn text(node: &Node, path: &KeyPath) -> Result<String, Unrepresentable> {
    Ok(match &node.value {
        Value::Null | Value::Pruned => "null".to_owned(),
        Value::Scalar { text, plain: false } => quote(text),
        Value::Scalar { text, plain: true } => {
            plain(text).map_err(|why| (path.clone(), why.to_owned()))?
        }
        Value::List(items) => {
            let items = items.iter().enumerate();
            let items = items.map(|(at, item)| text(item, &path.index(at)));
            format!("[{}]", items.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        Value::Map(entries) => {
            let members = entries.iter().map(|entry| {
                let value = text(&entry.node, &path.key(&entry.key))?;
                Ok(format!("{}:{value}", quote(&entry.key)))
            });
            format!("{{{}}}", members.collect::<Result<Vec<_>, _>>()?.join(","))
        }
    })
}

/// Returns a text without quotes as JSON.
fn plain(text: &str) -> Result<String, &'static str> {
    match text {
        "true" | "True" | "TRUE" => return Ok("true".to_owned()),
        "false" | "False" | "FALSE" => return Ok("false".to_owned()),
        _ => {}
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if matches!(&*digits.to_ascii_lowercase(), ".inf" | ".nan") {
        return Err("JSON has no such number: put quotes around it if it is a text");
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        let number = digits.strip_prefix(prefix);
        if let Some(number) = number.and_then(|digits| u128::from_str_radix(digits, radix).ok()) {
            return Ok(format!("{sign}{number}"));
        }
    }
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return Ok(quote(text));
    }
    let number = format!("{sign}{digits}");
    if is_number(&number) {
        return Ok(number);
    }
    // YAML leaves out digits that JSON requires.
    let (whole, rest) = digits.split_at(digits.find(['.', 'e', 'E']).unwrap_or(digits.len()));
    if whole.len() > 1 && whole.starts_with('0') && whole.bytes().all(|one| one.is_ascii_digit()) {
        return match is_number(&format!("1{rest}")) {
            true => Err(
                "is a number with a leading zero: leave out the zero, or put quotes around a text",
            ),
            false => Ok(quote(text)),
        };
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    let rest = match rest.strip_prefix('.') {
        Some(after) if !after.starts_with(|first: char| first.is_ascii_digit()) => {
            format!(".0{after}")
        }
        _ => rest.to_owned(),
    };
    let number = format!("{sign}{whole}{rest}");
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let has_digit = mantissa.bytes().any(|one| one.is_ascii_digit());
    Ok(if has_digit && is_number(&number) {
        number
    } else {
        quote(text)
    })
}

/// Returns `true` for a number in JSON.
fn is_number(text: &str) -> bool {
    let value: Result<&serde_json::value::RawValue, _> = serde_json::from_str(text);
    let first = text.trim_start_matches('-').as_bytes().first();
    value.is_ok_and(|value| value.get() == text) && first.is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_texts_are_what_yaml_says() {
        for (text, json) in [
            ("5", "5"),
            ("-5", "-5"),
            ("+5", "5"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
            ("1.50", "1.50"),
            ("1e400", "1e400"),
            ("-1.5E-3", "-1.5E-3"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("5.", "5.0"),
            ("5.e3", "5.0e3"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("0", "0"),
            ("-0", "-0"),
            ("0.10", "0.10"),
            ("true", "true"),
            ("False", "false"),
            ("yes", "\"yes\""),
            ("1.2.3", "\"1.2.3\""),
            ("2026-01-02", "\"2026-01-02\""),
            ("1_000", "\"1_000\""),
            ("12:30", "\"12:30\""),
            ("-", "\"-\""),
            (".", "\".\""),
            ("..", "\"..\""),
            ("-x", "\"-x\""),
            ("+", "\"+\""),
            ("+x", "\"+x\""),
            ("e5", "\"e5\""),
            (".e5", "\".e5\""),
            ("0xZZ", "\"0xZZ\""),
            ("info", "\"info\""),
            ("nan", "\"nan\""),
            ("nano", "\"nano\""),
            ("007x", "\"007x\""),
        ] {
            assert_eq!(plain(text).as_deref(), Ok(json), "{text}");
        }
        for text in [".inf", "-.inf", ".NaN", "+.Inf", "007", "-01.5", "00"] {
            assert!(plain(text).is_err(), "{text}");
        }
    }
}
