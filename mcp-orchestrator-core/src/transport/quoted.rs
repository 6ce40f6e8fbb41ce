//! Quotes server output in error messages: short, on one line, and without the credential that was sent.

use http::HeaderMap;

use crate::limits::MAX_QUOTED_TEXT;

/// Replaces a secret.
const MASK: &str = "[secret]";
/// Shorter values are not masked, because they occur in ordinary words.
const MIN_SECRET: usize = 6;

/// Returns a server's text on one line: truncated, without control characters, and with the values of these headers and
/// of the query masked. Returns nothing for an HTML page, because it is unreadable on one line.
pub(super) fn quoted(text: &[u8], headers: &HeaderMap, query: Option<&str>) -> String {
    let text = String::from_utf8_lossy(text);
    let trimmed = text.trim_start_matches('\u{feff}').trim_start();
    if trimmed.starts_with('<') {
        return String::new();
    }
    let mut line = one_line(trimmed);
    for secret in secrets(headers, query) {
        if line.contains(&secret) {
            line = line.replace(&secret, MASK);
        }
    }
    if line.len() > MAX_QUOTED_TEXT {
        line.truncate(line.floor_char_boundary(MAX_QUOTED_TEXT));
        line.push('…');
    }
    line
}

/// Replaces each run of white space and control characters by a single space.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for part in text.split(|c: char| c.is_whitespace() || steers(c)) {
        if !part.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(part);
        }
    }
    line
}

/// Returns `true` for control characters, bidirectional formatting characters and invisible characters.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Returns the values of the headers, with and without their scheme, and of the query parameters, longest first.
fn secrets(headers: &HeaderMap, query: Option<&str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for value in headers.values() {
        let value = String::from_utf8_lossy(value.as_bytes());
        found.extend(value.split_whitespace().map(str::to_owned));
        found.push(value.into_owned());
    }
    for pair in query.unwrap_or_default().split('&') {
        found.extend(pair.split_once('=').map(|(_, value)| value.to_owned()));
    }
    found.retain(|value| value.len() >= MIN_SECRET);
    found.sort_by_key(|value| std::cmp::Reverse(value.len()));
    found
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn quoted_text_is_short_clean_and_free_of_secrets() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "authorization",
            HeaderValue::from_static("Bearer hunter2hunter2"),
        );
        let quote = |text: &str| quoted(text.as_bytes(), &headers, Some("k=querysecret&x"));
        assert_eq!(
            quote("\u{feff} Missing\r\n\theader \u{1b}[31mX\u{202e}y"),
            "Missing header [31mX y"
        );
        assert_eq!(
            quote("no: Bearer hunter2hunter2 / hunter2hunter2"),
            "no: [secret] / [secret]"
        );
        assert_eq!(quote("at ?k=querysecret"), "at ?k=[secret]");
        assert_eq!(quote("<!doctype html><p>x"), "");
        assert!(quote(&"é".repeat(1000)).len() <= MAX_QUOTED_TEXT + 3);
    }
}
