//! Scans JSON text in one pass: validates all of it, reports the positions of members, and keeps nothing.
//!
//! Every message passes through this scanner, so it builds no values and allocates nothing (except for nesting deeper
//! than 64). It accepts exactly the grammar of RFC 8259; UTF-8 is validated separately.

use super::Span;

/// The position at which the text stops being valid JSON, and what was expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

pub(super) type Scanned = Result<usize, SyntaxError>;

/// A text to scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'a>(pub(super) &'a [u8]);

/// The span of a string including its quotes, and whether it contains escapes.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) span: Span,
    pub(super) escaped: bool,
}

impl<'a> Scan<'a> {
    fn byte(self, at: usize) -> u8 {
        // NUL is not part of the JSON grammar, so it can also mark the end.
        self.0.get(at).copied().unwrap_or(0)
    }

    pub(super) fn wrong<T>(self, at: usize, expected: &'static str) -> Result<T, SyntaxError> {
        Err(SyntaxError { at, expected })
    }

    /// Returns the next position that is not white space.
    pub(super) fn skip(self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\t' | b'\n' | b'\r') {
            at += 1;
        }
        at
    }

    /// Fails unless only white space follows.
    pub(super) fn end(self, at: usize) -> Result<(), SyntaxError> {
        let at = self.skip(at);
        if at == self.0.len() {
            return Ok(());
        }
        self.wrong(at, "the end")
    }

    /// Calls `member` for each member of the object that begins here, with its key and the position of its value;
    /// `member` returns the end of the value. Returns the end of the object.
    pub(super) fn members(
        self,
        at: usize,
        mut member: impl FnMut(&Key, usize) -> Scanned,
    ) -> Scanned {
        if self.byte(at) != b'{' {
            return self.wrong(at, "an object");
        }
        let mut at = self.skip(at + 1);
        if self.byte(at) == b'}' {
            return Ok(at + 1);
        }
        loop {
            let (end, escaped) = self.string(at)?;
            let key = Key {
                span: at..end,
                escaped,
            };
            at = self.skip(end);
            if self.byte(at) != b':' {
                return self.wrong(at, "':'");
            }
            at = self.skip(member(&key, self.skip(at + 1))?);
            match self.byte(at) {
                b',' => at = self.skip(at + 1),
                b'}' => return Ok(at + 1),
                _ => return self.wrong(at, "',' or '}'"),
            }
        }
    }

    /// Calls `item` for each item of the array that begins here, with its position; `item` returns its end. Returns the
    /// end of the array.
    pub(super) fn items(self, at: usize, mut item: impl FnMut(usize) -> Scanned) -> Scanned {
        if self.byte(at) != b'[' {
            return self.wrong(at, "an array");
        }
        let mut at = self.skip(at + 1);
        if self.byte(at) == b']' {
            return Ok(at + 1);
        }
        loop {
            at = self.skip(item(at)?);
            match self.byte(at) {
                b',' => at = self.skip(at + 1),
                b']' => return Ok(at + 1),
                _ => return self.wrong(at, "',' or ']'"),
            }
        }
    }

    /// Returns the end of the value that begins here.
    pub(super) fn value(self, at: usize) -> Scanned {
        match self.byte(at) {
            b'"' => Ok(self.string(at)?.0),
            b'{' | b'[' => self.nested(at),
            _ => self.scalar(at),
        }
    }

    fn scalar(self, at: usize) -> Scanned {
        match self.byte(at) {
            b'-' | b'0'..=b'9' => self.number(at),
            b't' => self.word(at, b"true"),
            b'f' => self.word(at, b"false"),
            b'n' => self.word(at, b"null"),
            _ => self.wrong(at, "a value"),
        }
    }

    fn word(self, at: usize, word: &'static [u8]) -> Scanned {
        if self.0[at..].starts_with(word) {
            return Ok(at + word.len());
        }
        self.wrong(at, "a value")
    }

    fn digits(self, mut at: usize) -> Scanned {
        let first = at;
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        if at == first {
            return self.wrong(at, "a digit");
        }
        Ok(at)
    }

    fn number(self, mut at: usize) -> Scanned {
        at += usize::from(self.byte(at) == b'-');
        at = if self.byte(at) == b'0' {
            at + 1
        } else {
            self.digits(at)?
        };
        if self.byte(at) == b'.' {
            at = self.digits(at + 1)?;
        }
        if matches!(self.byte(at), b'e' | b'E') {
            at += 1;
            at += usize::from(matches!(self.byte(at), b'+' | b'-'));
            at = self.digits(at)?;
        }
        Ok(at)
    }

    /// Returns the end of the string that begins here, and whether it contains escapes.
    pub(super) fn string(self, at: usize) -> Result<(usize, bool), SyntaxError> {
        if self.byte(at) != b'"' {
            return self.wrong(at, "a string");
        }
        let (mut at, mut escaped) = (at + 1, false);
        loop {
            at = self.plain(at);
            match self.byte(at) {
                b'"' => return Ok((at + 1, escaped)),
                b'\\' => {
                    escaped = true;
                    at = self.escape(at + 1)?;
                }
                _ => return self.wrong(at, "the end of a string"),
            }
        }
    }

    /// Returns the position of the next quote, backslash or control character; checks eight bytes at a time.
    fn plain(self, mut at: usize) -> usize {
        const ONES: u64 = u64::from_ne_bytes([1; 8]);
        const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
        const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
        const SLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
        const SPACES: u64 = u64::from_ne_bytes([0x20; 8]);
        while let Some(eight) = self.0.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*eight);
            let quote = word ^ QUOTES;
            let slash = word ^ SLASHES;
            // The high bit of each byte that became zero is set. Only the lowest set bit is reliable, and only the
            // lowest one is needed.
            let found = (quote.wrapping_sub(ONES) & !quote)
                | (slash.wrapping_sub(ONES) & !slash)
                | (word.wrapping_sub(SPACES) & !word);
            let found = found & HIGHS;
            if found != 0 {
                return at + (found.trailing_zeros() / 8) as usize;
            }
            at += 8;
        }
        while !matches!(self.byte(at), b'"' | b'\\' | 0..0x20) {
            at += 1;
        }
        at
    }

    fn escape(self, at: usize) -> Scanned {
        match self.byte(at) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 1),
            b'u' => {
                let digits = self.0.get(at + 1..at + 5);
                if digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Ok(at + 5);
                }
                self.wrong(at, "four hex digits")
            }
            _ => self.wrong(at, "an escape"),
        }
    }

    /// Returns the end of the object or array that begins here. Iterative, so that no nesting is too deep.
    fn nested(self, mut at: usize) -> Scanned {
        let mut open = Open::default();
        loop {
            // A value begins here.
            match self.byte(at) {
                b'{' => {
                    at = self.skip(at + 1);
                    if self.byte(at) == b'}' {
                        at += 1;
                    } else {
                        open.push(true);
                        at = self.key(at)?;
                        continue;
                    }
                }
                b'[' => {
                    at = self.skip(at + 1);
                    if self.byte(at) == b']' {
                        at += 1;
                    } else {
                        open.push(false);
                        continue;
                    }
                }
                b'"' => at = self.string(at)?.0,
                _ => at = self.scalar(at)?,
            }
            // A value has ended here.
            loop {
                let Some(object) = open.last() else {
                    return Ok(at);
                };
                at = self.skip(at);
                match (self.byte(at), object) {
                    (b',', true) => {
                        at = self.key(self.skip(at + 1))?;
                        break;
                    }
                    (b',', false) => {
                        at = self.skip(at + 1);
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        open.pop();
                        at += 1;
                    }
                    (_, true) => return self.wrong(at, "',' or '}'"),
                    (_, false) => return self.wrong(at, "',' or ']'"),
                }
            }
        }
    }

    /// Skips a key and returns the position of its value.
    fn key(self, at: usize) -> Scanned {
        let at = self.skip(self.string(at)?.0);
        if self.byte(at) != b':' {
            return self.wrong(at, "':'");
        }
        Ok(self.skip(at + 1))
    }
}

/// The stack of open objects (1) and arrays (0), one bit each. The first 64 levels need no allocation.
#[derive(Default)]
struct Open {
    bits: u64,
    depth: usize,
    deeper: Vec<u64>,
}

impl Open {
    fn push(&mut self, object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.deeper.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.bits >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = self.deeper.pop().unwrap_or_default();
        }
    }

    fn last(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &[u8]) -> Result<(), SyntaxError> {
        let scan = Scan(text);
        scan.end(scan.value(scan.skip(0))?)
    }

    /// Whether another parser accepts the same text.
    fn others(text: &str) -> bool {
        serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
    }

    #[test]
    fn only_valid_json_is_accepted() {
        for text in [
            "1",
            "-0",
            "0.5e+3",
            "1E9",
            "-1.0e-1",
            "\"\"",
            "\"a\\u00e9\\n\"",
            "[]",
            "{}",
            " [ 1 , [ ] , { \"a\" : null } ] ",
            "{\"a\":{\"b\":[true,false]}}",
            "01",
            "1.",
            ".5",
            "1e",
            "-",
            "+1",
            "tru",
            "nul",
            "[1,]",
            "[,1]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "[1}",
            "{\"a\":1]",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "\"",
            "\"\\",
            "[",
            "{",
            "",
            " ",
            "1 2",
            "[1 2]",
            "\u{feff}1",
            "\"\u{7f}\"",
            "\"é\u{80}\"",
            "'a'",
        ] {
            assert_eq!(whole(text.as_bytes()).is_ok(), others(text), "{text:?}");
        }
        assert!(whole(b"\"\0\"").is_err());
        assert!(whole(b"[1\0]").is_err());
        assert!(whole(b"1\0").is_err());
    }

    #[test]
    fn nesting_depth_is_unlimited() {
        for depth in [1, 63, 64, 65, 127, 128, 129, 100_000] {
            let text = format!("{}{}", "[{\"a\":".repeat(depth) + "1", "}]".repeat(depth));
            assert_eq!(whole(text.as_bytes()), Ok(()), "{depth}");
            assert!(
                whole(&text.as_bytes()[..text.len() - 1]).is_err(),
                "{depth}"
            );
            let crossed = format!("{}1{}", "[{\"a\":".repeat(depth), "]}".repeat(depth));
            assert!(whole(crossed.as_bytes()).is_err(), "{depth}");
        }
    }

    #[test]
    fn members_are_visited_in_order() {
        let text = br#"{ "a" : 1 , "b\n":{"x":"}"},"c":[] } "#;
        let (scan, mut seen) = (Scan(text), Vec::new());
        let end = scan.members(0, |key, at| {
            let end = scan.value(at)?;
            let part = |span: Span| std::str::from_utf8(&text[span]).unwrap();
            seen.push((part(key.span.clone()), key.escaped, part(at..end)));
            Ok(end)
        });
        assert_eq!(end, Ok(text.len() - 1));
        let all = [
            ("\"a\"", false, "1"),
            ("\"b\\n\"", true, "{\"x\":\"}\"}"),
            ("\"c\"", false, "[]"),
        ];
        assert_eq!(seen, all);
    }

    proptest! {
        #[test]
        fn scanner_agrees_with_another_parser(text in r#"[\[\]{}:,"\\ntu0-9.eE+\-a\x01 é]{0,24}"#) {
            prop_assert_eq!(whole(text.as_bytes()).is_ok(), others(&text), "{:?}", text);
        }

        #[test]
        fn plain_text_ends_at_the_first_special_byte(before in "[a-z é\u{80}\u{7f}]{0,40}", stop in prop::sample::select(vec!['"', '\\', '\x00', '\x1f', '\n'])) {
            let text = format!("{before}{stop}after {stop}");
            prop_assert_eq!(Scan(text.as_bytes()).plain(0), before.len());
        }
    }
}
