//! Tolerates deviations from JSON-RPC that deployed servers send and common client libraries accept.

use bytes::Bytes;

use super::byte_order_mark::without_mark;
use super::scan::Scan;
use super::{Message, ParseError};
use crate::limits::MAX_BATCH_ITEMS;

impl Message {
    /// Parses a message from a server. Invalid UTF-8 is replaced by U+FFFD, as client libraries do.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "as `parse`, which keeps the bytes"
    )]
    pub fn received(bytes: Bytes) -> Result<Self, ParseError> {
        let refused = match Self::parse(bytes.clone()) {
            Err(ParseError::Json(refused)) => refused,
            outcome => return outcome,
        };
        match String::from_utf8_lossy(&bytes) {
            std::borrow::Cow::Owned(text) => Self::parse(text.into()),
            std::borrow::Cow::Borrowed(_) => Err(ParseError::Json(refused)),
        }
    }

    /// Parses a single message or a batch (revision 2025-03-26). Invalid items of a batch are skipped, and so is
    /// everything after the first [`MAX_BATCH_ITEMS`].
    ///
    /// # Errors
    /// As [`parse`](Self::parse), except that a batch is not an error.
    pub fn received_all(bytes: &Bytes) -> Result<Vec<Self>, ParseError> {
        match Self::received(bytes.clone()) {
            Ok(message) => Ok(vec![message]),
            Err(ParseError::Batch) => Ok(batch(bytes)),
            Err(error) => Err(error),
        }
    }
}

/// Returns the messages of a batch.
pub(crate) fn batch(bytes: &Bytes) -> Vec<Message> {
    let text: Bytes = match String::from_utf8_lossy(bytes) {
        std::borrow::Cow::Owned(text) => text.into(),
        std::borrow::Cow::Borrowed(_) => bytes.clone(),
    };
    let bytes = without_mark(text);
    let scan = Scan(&bytes);
    let mut found = Vec::new();
    // The text is known to be valid JSON, so only the limit ends it early.
    let _ = scan.items(scan.skip(0), |at| {
        let end = scan.value(at)?;
        if found.len() >= MAX_BATCH_ITEMS {
            return scan.wrong(at, "the end of a batch");
        }
        found.extend(Message::parse(bytes.slice(at..end)));
        Ok(end)
    });
    found
}

/// Parses an id or a token as a whole number. Accepts `7` and also `"7"` and `7.0`, because some servers return it that
/// way.
pub(crate) fn whole_number(raw: &str) -> Option<u64> {
    if let Ok(number) = raw.parse() {
        return Some(number);
    }
    let bare = raw
        .strip_prefix('"')
        .and_then(|raw| raw.strip_suffix('"'))
        .unwrap_or(raw)
        .trim();
    if let Ok(number) = bare.parse() {
        return Some(number);
    }
    if !bare.starts_with(|c: char| c.is_ascii_digit()) || bare.len() > 32 {
        return None;
    }
    // Above this, a double cannot represent every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number: f64 = bare.parse().ok()?;
    if number.fract() != 0.0 || !(0.0..EXACT).contains(&number) {
        return None;
    }
    number.to_string().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonrpc::byte_order_mark::BYTE_ORDER_MARK;
    use crate::jsonrpc::kind::Kind;

    #[test]
    fn whole_number_is_parsed_in_every_notation() {
        for raw in [
            "7", "\"7\"", "7.0", "7.000", "\"7.0\"", "7e0", "0.7e1", "\" 7 \"",
        ] {
            assert_eq!(whole_number(raw), Some(7), "{raw}");
        }
        for raw in [
            "7.5",
            "-7",
            "null",
            "\"\"",
            "\"x\"",
            "\"7x\"",
            "[7]",
            "1e400",
            "\"inf\"",
            "\"nan\"",
            "99999999999999999999",
        ] {
            assert_eq!(whole_number(raw), None, "{raw}");
        }
        assert_eq!(
            whole_number("9007199254740993"),
            Some(9_007_199_254_740_993)
        );
    }

    #[test]
    fn byte_order_marks_and_invalid_utf8_are_tolerated() {
        let plain = r#"{"jsonrpc":"2.0","id":1,"result":{"text":"X"}}"#;
        let marked = [BYTE_ORDER_MARK, plain.as_bytes()].concat();
        let message = Message::received(marked.into()).unwrap();
        assert_eq!(message.bytes(), plain.as_bytes());
        let mut latin = plain.as_bytes().to_vec();
        let at = latin.iter().position(|b| *b == b'X').unwrap();
        latin[at] = 0xe9;
        let message = Message::received(latin.clone().into()).unwrap();
        assert_eq!(message.body(), Some("{\"text\":\"\u{fffd}\"}"));
        assert!(Message::parse(latin.into()).is_err(), "a client is told");
        assert!(Message::received(Bytes::from_static(b"\xff\xfe{")).is_err());
    }

    #[test]
    fn batch_is_split_into_messages() {
        let text = br#" [ {"jsonrpc":"2.0","id":1,"result":{}} , 5, {"x":1}, {"jsonrpc":"2.0","method":"n"} ] "#;
        let all = Message::received_all(&Bytes::from_static(text)).unwrap();
        let kinds: Vec<Kind> = all.iter().map(Message::kind).collect();
        assert_eq!(kinds, [Kind::Response, Kind::Notification]);
        assert!(
            Message::received_all(&Bytes::from_static(b"[]"))
                .unwrap()
                .is_empty()
        );
        assert!(Message::received_all(&Bytes::from_static(b"[1")).is_err());
        let many = format!(
            "[{}]",
            vec![r#"{"jsonrpc":"2.0","method":"n"}"#; MAX_BATCH_ITEMS + 9].join(",")
        );
        assert_eq!(
            Message::received_all(&many.into()).unwrap().len(),
            MAX_BATCH_ITEMS
        );
    }
}
