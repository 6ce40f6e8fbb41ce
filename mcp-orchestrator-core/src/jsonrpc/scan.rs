//! One pass over JSON text: checks all of it, hands out the members of objects as places, keeps nothing.
//!
//! Every message is read by this, so it makes no values and allocates nothing (but for a nesting deeper than 64). It
//! accepts exactly what RFC 8259 does; that the text is UTF-8 is checked beside it.

use super::Span;

/// Where the text stops being JSON, and what was expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

pub(super) type Scanned = Result<usize, Wrong>;

/// A text that is scanned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'a>(pub(super) &'a [u8]);

/// A string's place with its quotes, and whether it has escapes in it.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) span: Span,
    pub(super) escaped: bool,
}

impl<'a> Scan<'a> {
    fn byte(self, at: usize) -> u8 {
        // NUL is no part of JSON's grammar, so it stands for the end as well.
        self.0.get(at).copied().unwrap_or(0)
    }

    pub(super) fn wrong<T>(self, at: usize, expected: &'static str) -> Result<T, Wrong> {
        Err(Wrong { at, expected })
    }

    /// The next place that is no white space.
    pub(super) fn skip(self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\t' | b'\n' | b'\r') {
            at += 1;
        }
        at
    }

    /// Whether nothing but white space follows.
    pub(super) fn end(self, at: usize) -> Result<(), Wrong> {
        let at = self.skip(at);
        if at == self.0.len() {
            return Ok(());
        }
        self.wrong(at, "the end")
    }

    /// Hands out the members of the object that begins here, each by its key and the place of its value, which
    /// `member` reads and whose end it answers. Answers the object's end.
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

    /// Hands out the items of the array that begins here, each by its place, which `item` reads and whose end it answers.
    /// Answers the array's end.
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

    /// The end of the value that begins here.
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

    /// The end of the string that begins here, and whether it has escapes in it.
    pub(super) fn string(self, at: usize) -> Result<(usize, bool), Wrong> {
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

    /// The first byte from here on that is a quote, a backslash or a control character; eight at a time.
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
            // A byte's high bit is set where it is zero after the change; only the lowest one set is to be trusted,
            // and the lowest is all that is asked for.
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

    /// The end of the object or array that begins here. Goes down without recursion, so that no depth is too deep.
    fn nested(self, mut at: usize) -> Scanned {
        let mut open = Open::default();
        loop {
            // Here a value begins.
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
            // Here one has ended.
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

    /// From a key to its value.
    fn key(self, at: usize) -> Scanned {
        let at = self.skip(self.string(at)?.0);
        if self.byte(at) != b':' {
            return self.wrong(at, "':'");
        }
        Ok(self.skip(at + 1))
    }
}

/// What is open: a bit each, 1 for an object; the first 64 without an allocation.
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

    fn whole(text: &[u8]) -> Result<(), Wrong> {
        let scan = Scan(text);
        scan.end(scan.value(scan.skip(0))?)
    }

    /// What another reader says of the same text.
    fn others(text: &str) -> bool {
        serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
    }

    #[test]
    fn it_accepts_what_is_json_and_nothing_else() {
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
    fn no_depth_is_too_deep() {
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
    fn members_are_handed_out_in_order() {
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
        fn it_agrees_with_another_reader(text in r#"[\[\]{}:,"\\ntu0-9.eE+\-a\x01 é]{0,24}"#) {
            prop_assert_eq!(whole(text.as_bytes()).is_ok(), others(&text), "{:?}", text);
        }

        #[test]
        fn plain_text_ends_where_it_ends(before in "[a-z é\u{80}\u{7f}]{0,40}", stop in prop::sample::select(vec!['"', '\\', '\x00', '\x1f', '\n'])) {
            let text = format!("{before}{stop}after {stop}");
            prop_assert_eq!(Scan(text.as_bytes()).plain(0), before.len());
        }
    }
}
