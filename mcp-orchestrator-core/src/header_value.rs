//! Values of headers that repeat a part of the body (`Mcp-Name`, `Mcp-Param-*`): plain, or base64 between sentinels.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

const BEGIN: &str = "=?base64?";
const END: &str = "?=";

/// Encodes a text as a header value: unchanged if possible, or else as base64 between sentinels.
///
/// # Panics
/// Never: the output is visible ASCII.
pub fn encode(text: &str) -> HeaderValue {
    let plain = text.bytes().all(|b| (0x20..=0x7e).contains(&b))
        && text.trim() == text
        && !text.starts_with(BEGIN)
        && !text.is_empty();
    let encoded = if plain {
        text.to_owned()
    } else {
        format!("{BEGIN}{}{END}", STANDARD.encode(text))
    };
    HeaderValue::try_from(encoded).expect("visible ASCII is a header value")
}

/// Decodes a header value. Returns `None` if it is malformed.
pub fn decode(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    match text
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.strip_suffix(END))
    {
        Some(inner) => String::from_utf8(STANDARD.decode(inner).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_through_a_header() {
        for text in [
            "get_issue",
            "a b",
            "",
            " x",
            "日本",
            "file:///ü",
            "=?base64?x?=",
            "a\nb",
        ] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text), "{text:?}");
        }
        assert_eq!(encode("test://a b"), "test://a b");
        assert_eq!(decode(&HeaderValue::from_static("=?base64?***?=")), None);
    }
}
