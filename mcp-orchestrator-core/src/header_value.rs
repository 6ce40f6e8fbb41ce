//! Values of headers: those that repeat a part of the body (`Mcp-Name`, `Mcp-Param-*`), which are plain or base64 between
//! sentinels, and `Retry-After`.

use std::time::{Duration, SystemTime};

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

/// Parses the value of `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3). A date in the past is zero. Returns
/// `None` if it is malformed.
pub(crate) fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(
        date.duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO),
    )
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
    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let read = |text: &str| retry_after(&HeaderValue::from_str(text).unwrap());
        assert_eq!(read(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(read("1.5"), Some(Duration::from_millis(1500)));
        let soon = SystemTime::now() + Duration::from_secs(90);
        let soon = read(&httpdate::fmt_http_date(soon)).unwrap();
        assert!((80..=90).contains(&soon.as_secs()), "{soon:?}");
        for past in [
            "Fri, 31 Dec 1999 23:59:59 GMT",
            "Friday, 31-Dec-99 23:59:59 GMT",
            "Fri Dec 31 23:59:59 1999",
        ] {
            assert_eq!(read(past), Some(Duration::ZERO), "{past}");
        }
        for malformed in [
            "",
            "soon",
            "-1",
            "NaN",
            "1e400",
            "Fri, 31 Dec",
            "2026-01-01T00:00:00Z",
        ] {
            assert_eq!(read(malformed), None, "{malformed}");
        }
    }
}
