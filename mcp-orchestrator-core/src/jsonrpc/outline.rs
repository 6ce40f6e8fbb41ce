//! Tracks the top level of a JSON object that is too long to keep, as its bytes pass by.

/// Maximum length kept of a value; longer ids are not ours.
const MAX_VALUE: usize = 32;
/// Maximum length kept of a key; no key of interest is longer.
const MAX_KEY: usize = 16;

/// Tracks one JSON text and keeps what identifies the request it answers: the top-level `id`, and whether there is a
/// `method`. Memory use is constant, however long the text is.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    depth: u64,
    /// The next token expected at the top level.
    place: Place,
    string: Option<Escape>,
    key: TextStart<MAX_KEY>,
    value: TextStart<MAX_VALUE>,
    id: Option<TextStart<MAX_VALUE>>,
    /// `true` if the request cannot be identified with certainty.
    unsure: bool,
    has_method: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the object.
    #[default]
    Before,
    Key,
    Colon,
    Value,
    /// After the object.
    After,
}

/// Whether the last character of a string was a backslash that escapes the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    No,
    Yes,
}

/// The beginning of a text, with the full length.
#[derive(Clone, Copy, Debug)]
struct TextStart<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for TextStart<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }
}

impl<const N: usize> TextStart<N> {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
        }
        self.length = self.length.saturating_add(1);
    }

    fn get(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length)
    }
}

impl Outline {
    /// Processes the next bytes of the text.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    /// Returns the id of the request that the text answers, if it certainly is a response: a complete object with
    /// exactly one top-level `id` and no `method`.
    pub(crate) fn answered(&self) -> Option<&str> {
        let sure = self.place == Place::After && !self.unsure && !self.has_method;
        let id = self.id.as_ref().filter(|_| sure)?;
        std::str::from_utf8(id.get()?).ok()
    }

    fn byte(&mut self, byte: u8) {
        if let Some(escape) = self.string {
            return self.in_string(byte, escape);
        }
        if byte.is_ascii_whitespace() {
            return;
        }
        match byte {
            _ if self.place == Place::After => self.unsure = true,
            b'"' => {
                self.string = Some(Escape::No);
                if self.depth == 1 {
                    match self.place {
                        Place::Key => self.key = TextStart::default(),
                        Place::Value => self.value.push(byte),
                        _ => self.unsure = true,
                    }
                } else if self.depth == 0 {
                    self.unsure = true;
                }
            }
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => self.close(byte),
            b':' if self.depth == 1 => self.place = Place::Value,
            b',' if self.depth == 1 => {
                self.member();
                self.place = Place::Key;
            }
            _ if self.depth == 1 && self.place == Place::Value => self.value.push(byte),
            // A byte-order mark may precede the object.
            0xef | 0xbb | 0xbf if self.place == Place::Before => {}
            _ if self.depth <= 1 => self.unsure = true,
            _ => {}
        }
    }

    fn in_string(&mut self, byte: u8, escape: Escape) {
        let top = self.depth == 1;
        match (escape, byte) {
            (Escape::No, b'"') => {
                self.string = None;
                if top && self.place == Place::Key {
                    self.place = Place::Colon;
                } else if top {
                    self.value.push(byte);
                }
                return;
            }
            (Escape::No, b'\\') => {
                // A key with an escape could be any key.
                self.unsure |= top && self.place == Place::Key;
                self.string = Some(Escape::Yes);
            }
            _ => self.string = Some(Escape::No),
        }
        if top && self.place == Place::Key {
            self.key.push(byte);
        } else if top {
            self.value.push(byte);
        }
    }

    fn open(&mut self, byte: u8) {
        if self.depth == 0 {
            self.unsure |= byte != b'{' || self.place != Place::Before;
            self.place = Place::Key;
        } else if self.depth == 1 {
            self.unsure |= self.place != Place::Value;
            self.value.push(byte);
        }
        self.depth += 1;
    }

    fn close(&mut self, byte: u8) {
        match self.depth {
            0 => self.unsure = true,
            1 => {
                self.unsure |= byte != b'}';
                self.member();
                self.place = Place::After;
            }
            _ => {}
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// Processes a complete top-level member.
    fn member(&mut self) {
        let value = std::mem::take(&mut self.value);
        match self.key.get() {
            Some(b"id") if self.place == Place::Value => {
                self.unsure |= self.id.is_some();
                self.id = Some(value);
            }
            Some(b"method") => self.has_method = true,
            _ => {}
        }
        self.key = TextStart::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str) -> Option<String> {
        let mut whole = Outline::default();
        whole.push(text.as_bytes());
        for cut in 0..text.len() {
            let mut parts = Outline::default();
            parts.push(&text.as_bytes()[..cut]);
            parts.push(&text.as_bytes()[cut..]);
            assert_eq!(parts.answered(), whole.answered(), "{text} cut at {cut}");
        }
        whole.answered().map(str::to_owned)
    }

    #[test]
    fn top_level_id_is_found_at_any_position() {
        for text in [
            r#"{"jsonrpc":"2.0","id":7,"result":{"id":8,"a":[{"id":9}]}}"#,
            r#"{"result":{"id":8,"text":"\"id\":9,{"},"jsonrpc":"2.0","id":7}"#,
            r#" { "result" : [ ] , "id" : 7 } "#,
            "\u{feff}{\"error\":{\"code\":1,\"data\":\"}\"},\"id\":7}\r",
        ] {
            assert_eq!(answered(text).as_deref(), Some("7"), "{text}");
        }
        assert_eq!(
            answered(r#"{"id":"7","result":1}"#).as_deref(),
            Some("\"7\"")
        );
    }

    #[test]
    fn ambiguous_messages_have_no_id() {
        for text in [
            r#"{"result":{"id":7}}"#,
            r#"{"id":7,"result":{},"id":8}"#,
            r#"{"id":7,"result":{}"#,
            r#"{"id":7,"result":{}} {}"#,
            r#"{"id":7,"method":"x"}"#,
            r#"{"\u0069d":8,"id":7,"result":1}"#,
            r#"[{"id":7,"result":1}]"#,
            r#""id":7"#,
            r#"{"id":7,"result":1]"#,
            r#"{"id":7777777777777777777777777777777777777777,"result":1}"#,
            r#"log: {"id":7,"result":1}"#,
            "",
        ] {
            assert_eq!(answered(text), None, "{text}");
        }
    }
}
