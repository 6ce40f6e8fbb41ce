//! Lenient access to the members of a JSON object from an untrusted source.
//!
//! Values remain slices of the response until they are read, so that a number that fits no type (`1e400`) or a list
//! that is `null` affects that member alone, and no copy of a secret is made on the way.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;

use crate::limits::{MAX_OAUTH_LIST, MAX_OAUTH_TEXT_LEN};
use crate::secret_json::SecretText;

/// Maximum accepted lifetime of a token or a client.
const MAX_LIFE: Duration = Duration::from_hours(24 * 3660);

/// The members of one object.
pub(crate) struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Members<'a> {
    /// Parses an object. Returns `None` for anything else, such as an HTML page or a list.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        serde_json::from_slice(bytes).ok().map(Self)
    }

    /// Returns a nested object.
    pub(crate) fn object(&self, name: &str) -> Option<Self> {
        serde_json::from_str(self.0.get(name)?.get()).ok().map(Self)
    }

    /// Returns a string, or a number as its digits. `None` if it is empty or longer than the limit.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let raw = self.0.get(name)?.get();
        if raw.len() > MAX_OAUTH_TEXT_LEN {
            return None;
        }
        let text = match raw.as_bytes().first()? {
            b'"' => serde_json::from_str::<String>(raw).ok()?,
            b'-' | b'0'..=b'9' => raw.to_owned(),
            _ => return None,
        };
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Returns a non-empty secret string.
    pub(crate) fn secret(&self, name: &str) -> Option<SecretText> {
        use secrecy::ExposeSecret as _;
        let text = serde_json::from_str::<SecretText>(self.0.get(name)?.get()).ok()?;
        (!text.0.expose_secret().is_empty()).then_some(text)
    }

    /// Returns a list of strings: either a JSON list, or one string separated by whitespace or commas. `None` if it
    /// is neither.
    pub(crate) fn words(&self, name: &str) -> Option<Vec<String>> {
        let raw = self.0.get(name)?.get();
        let words: Vec<String> = if raw.starts_with('[') {
            let each = serde_json::from_str::<Vec<&RawValue>>(raw).ok()?;
            let each = each.into_iter().take(MAX_OAUTH_LIST);
            each.filter_map(|raw| serde_json::from_str::<String>(raw.get()).ok())
                .collect()
        } else {
            let text = serde_json::from_str::<String>(raw).ok()?;
            let words = text.split([' ', '\t', '\r', '\n', ',']);
            words.take(MAX_OAUTH_LIST).map(str::to_owned).collect()
        };
        let usable = |word: &String| !word.is_empty() && word.len() <= MAX_OAUTH_TEXT_LEN;
        Some(words.into_iter().filter(usable).collect())
    }

    /// Returns `true` if the member is `true` or `"true"`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let raw = self.0.get(name).map(|raw| raw.get());
        matches!(raw, Some("true" | "\"true\""))
    }

    /// Returns a number of seconds, given as a number or a string. `None` if it is not a number, or negative.
    pub(crate) fn life(&self, name: &str) -> Option<Duration> {
        let seconds = self.number(name)?;
        (seconds >= 0.0).then(|| {
            Duration::try_from_secs_f64(seconds).map_or(MAX_LIFE, |life| life.min(MAX_LIFE))
        })
    }

    /// Returns a time in seconds since 1970. `None` if it is not a positive number, or after the year 9999.
    pub(crate) fn time(&self, name: &str) -> Option<SystemTime> {
        let since = self.life_since_epoch(name)?;
        UNIX_EPOCH.checked_add(since)
    }

    fn life_since_epoch(&self, name: &str) -> Option<Duration> {
        // The end of the year 9999; a later time means that there is no expiry.
        const LAST: f64 = 253_402_300_799.0;
        let seconds = self.number(name)?;
        (seconds > 0.0 && seconds <= LAST).then(|| Duration::from_secs_f64(seconds))
    }

    fn number(&self, name: &str) -> Option<f64> {
        let raw = self.0.get(name)?.get();
        let text = raw.trim_matches('"').trim();
        // A number that is out of range becomes infinite.
        let number: f64 = text.parse().ok()?;
        (!number.is_nan()).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_member_is_absent_and_does_not_affect_others() {
        let json = "\u{feff} {\"text\":\"a\",\"number\":12,\"null\":null,\"empty\":\"\",\"list\":[\"a\",1e400,null,\"b\"],\
                    \"words\":\"a, b\\tc\",\"huge\":1e400,\"object\":{\"text\":\"b\"},\"on\":true,\"said\":\"true\"}";
        let members = Members::read(json.as_bytes()).unwrap();
        assert_eq!(members.text("text").as_deref(), Some("a"));
        assert_eq!(members.text("number").as_deref(), Some("12"));
        for none in ["null", "empty", "list", "object", "on", "missing"] {
            assert_eq!(members.text(none), None, "{none}");
        }
        assert_eq!(members.words("list").unwrap(), ["a", "b"]);
        assert_eq!(members.words("words").unwrap(), ["a", "b", "c"]);
        assert_eq!(members.words("null"), None);
        assert!(members.flag("on") && members.flag("said") && !members.flag("text"));
        let below = members.object("object").unwrap();
        assert_eq!(below.text("text").as_deref(), Some("b"));
        for none in ["", "[]", "null", "<p>", "{", "\"a\""] {
            assert!(Members::read(none.as_bytes()).is_none(), "{none}");
        }
    }

    #[test]
    fn any_number_of_seconds_becomes_a_valid_lifetime_or_none() {
        let rows = [
            ("60", Some(60), true),
            (r#""60""#, Some(60), true),
            (r#"" 60.5 ""#, Some(60), true),
            ("0", Some(0), false),
            ("-0.0", Some(0), false),
            ("-1", None, false),
            ("1e10", Some(MAX_LIFE.as_secs()), true),
            ("1e18", Some(MAX_LIFE.as_secs()), false),
            ("18446744073709551615", Some(MAX_LIFE.as_secs()), false),
            ("18446744073709551616", Some(MAX_LIFE.as_secs()), false),
            ("1e400", Some(MAX_LIFE.as_secs()), false),
            ("-1e400", None, false),
            (r#""inf""#, Some(MAX_LIFE.as_secs()), false),
            (r#""NaN""#, None, false),
            (r#""soon""#, None, false),
            ("null", None, false),
            ("[1]", None, false),
            (r#"{"a":1}"#, None, false),
            ("true", None, false),
        ];
        for (json, life, is_time) in rows {
            let document = format!(r#"{{"at":{json}}}"#);
            let members = Members::read(document.as_bytes()).unwrap();
            let found = members.life("at").map(|life| life.as_secs());
            assert_eq!(found, life, "{json}");
            assert_eq!(members.time("at").is_some(), is_time, "{json}");
        }
    }
}
