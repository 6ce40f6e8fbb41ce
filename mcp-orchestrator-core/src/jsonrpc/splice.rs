//! Edits to a message that are applied in one pass.

use bytes::{Bytes, BytesMut};

use super::{Members, Span, span_of};

/// A set of replacements in a byte string, applied together with one allocation.
#[derive(Clone, Debug, Default)]
pub struct Splice {
    /// Sorted by position.
    edits: Vec<(Span, Bytes)>,
}

impl Splice {
    /// Creates an empty set.
    pub const fn new() -> Self {
        Self { edits: Vec::new() }
    }

    /// Replaces `span` with `with`. Spans must not overlap.
    pub fn replace(&mut self, span: Span, with: impl Into<Bytes>) -> &mut Self {
        // Insertions at the same position keep their order.
        let place = (span.start, span.end);
        let before = |(other, _): &(Span, Bytes)| (other.start, other.end) <= place;
        let at = self.edits.partition_point(before);
        self.edits.insert(at, (span, with.into()));
        self
    }

    /// Removes members from an object, each run of them with the comma that becomes superfluous. `whole` must contain
    /// the object's bytes.
    pub fn remove_members(
        &mut self,
        whole: &[u8],
        object: &Members<'_>,
        remove: impl Fn(&str) -> bool,
    ) -> &mut Self {
        let places: Vec<(bool, Span)> = object
            .0
            .iter()
            .map(|(key, value)| (remove(key), span_of(whole, value.get())))
            .collect();
        let mut run: Option<usize> = None;
        for at in 0..=places.len() {
            let removed = places.get(at).is_some_and(|(removed, _)| *removed);
            match (removed, run) {
                (true, None) => run = Some(at),
                (false, Some(first)) => {
                    self.remove_run(whole, &places, first..at);
                    run = None;
                }
                _ => {}
            }
        }
        self
    }

    fn remove_run(&mut self, whole: &[u8], places: &[(bool, Span)], run: std::ops::Range<usize>) {
        let end = places[run.end - 1].1.end;
        let span = match (run.start.checked_sub(1), run.end < places.len()) {
            (Some(kept), _) => places[kept].1.end..end,
            (None, true) => object_start(whole, places)..next_key(whole, end),
            (None, false) => object_start(whole, places)..end,
        };
        self.replace(span, Bytes::new());
    }

    /// Inserts a member at the front of an object; `object` is the span of the object in `whole`.
    pub fn insert_member(
        &mut self,
        whole: &[u8],
        object: &Span,
        key: &str,
        value: &str,
    ) -> &mut Self {
        self.insert_text(whole, object, &format!("\"{key}\":{value}"))
    }

    /// Inserts members (JSON without braces) at the front of an object; `object` is its span in `whole`.
    pub fn insert_text(&mut self, whole: &[u8], object: &Span, members: &str) -> &mut Self {
        let at = object.start + 1;
        let empty = whole.get(skip_white(whole, at)) == Some(&b'}');
        let comma = if empty { "" } else { "," };
        self.replace(at..at, Bytes::from(format!("{members}{comma}")))
    }

    /// Returns `true` if there are no edits.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Returns the edited bytes. Without edits, the same memory is shared.
    pub fn apply(&self, whole: &Bytes) -> Bytes {
        if self.edits.is_empty() {
            return whole.clone();
        }
        self.write(whole, &[], 0).freeze()
    }

    /// Like [`apply`](Self::apply), with more replacements, which must be sorted by position.
    pub(crate) fn apply_with(&self, whole: &Bytes, more: &[(Span, &[u8])]) -> Bytes {
        self.write(whole, more, 0).freeze()
    }

    /// Returns the edited bytes as one line of a pipe: line breaks inside are replaced by spaces (in JSON they can only
    /// be white space between tokens), and one is added at the end.
    pub fn apply_line(&self, whole: &Bytes) -> Bytes {
        self.apply_line_with(whole, &[])
    }

    /// Like [`apply_line`](Self::apply_line), with more replacements, which must be sorted by position.
    pub(crate) fn apply_line_with(&self, whole: &Bytes, more: &[(Span, &[u8])]) -> Bytes {
        let mut out = self.write(whole, more, 1);
        while let Some(at) = memchr::memchr2(b'\n', b'\r', &out) {
            // Rare: only pretty-printed messages contain line breaks, and then many, so continue byte by byte.
            out[at..]
                .iter_mut()
                .filter(|b| matches!(b, b'\n' | b'\r'))
                .for_each(|b| *b = b' ');
        }
        out.extend_from_slice(b"\n");
        out.freeze()
    }

    /// Maps a position in the original bytes to the edited bytes.
    pub fn moved(&self, at: usize) -> usize {
        let before = self.edits.iter().filter(|(span, _)| span.end <= at);
        let (gone, come) = before.fold((0, 0), |(gone, come), (span, with)| {
            (gone + span.len(), come + with.len())
        });
        at + come - gone
    }

    /// Returns `true` if an edit replaces this span as part of a larger one.
    pub(crate) fn removes(&self, part: &Span) -> bool {
        let covers = |edit: &Span| edit.start <= part.start && part.end <= edit.end;
        self.edits
            .iter()
            .any(|(edit, _)| covers(edit) && edit.len() > part.len())
    }

    fn write(&self, whole: &Bytes, more: &[(Span, &[u8])], extra: usize) -> BytesMut {
        let own = self.edits.iter().map(|(span, with)| (span, &with[..]));
        let more = more.iter().map(|(span, with)| (span, *with));
        let grown: usize = own.clone().chain(more.clone()).map(|(_, w)| w.len()).sum();
        let mut out = BytesMut::with_capacity(whole.len() + grown + extra);
        let (mut own, mut more) = (own.peekable(), more.peekable());
        let mut at = 0;
        loop {
            let is_own = match (own.peek(), more.peek()) {
                (Some((one, _)), Some((other, _))) => one.start <= other.start,
                (one, _) => one.is_some(),
            };
            let Some((span, with)) = (if is_own { own.next() } else { more.next() }) else {
                break;
            };
            debug_assert!(span.start >= at, "replacements must not overlap");
            out.extend_from_slice(&whole[at..span.start]);
            out.extend_from_slice(with);
            at = span.end;
        }
        out.extend_from_slice(&whole[at..]);
        out
    }

    /// Replaces one member of an object inside a message, if it exists.
    pub fn member(
        &mut self,
        whole: &[u8],
        object: &Members<'_>,
        key: &str,
        with: impl Into<Bytes>,
    ) -> &mut Self {
        if let Some(value) = object.get(key) {
            self.replace(span_of(whole, value), with);
        }
        self
    }
}

/// Returns the position of the first key of the object, after its brace.
fn object_start(whole: &[u8], places: &[(bool, Span)]) -> usize {
    // Only white space, the key and a colon separate the brace from the first value, so search backwards for the colon,
    // the key's closing quote, and its opening quote that is not escaped.
    let value = places[0].1.start;
    let colon = whole[..value].iter().rposition(|b| *b == b':').unwrap_or(0);
    let close = whole[..colon].iter().rposition(|b| *b == b'"').unwrap_or(0);
    let mut at = close;
    while at > 0 {
        at -= 1;
        let escapes = whole[..at]
            .iter()
            .rev()
            .take_while(|b| **b == b'\\')
            .count();
        if whole[at] == b'"' && escapes % 2 == 0 {
            break;
        }
    }
    at
}

/// Returns the position of the key after the comma that follows `value_end`.
fn next_key(whole: &[u8], value_end: usize) -> usize {
    skip_white(whole, skip_white(whole, value_end) + 1)
}

fn skip_white(whole: &[u8], mut at: usize) -> usize {
    while whole.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonrpc::Message;

    fn without(text: &str, keys: &[&str]) -> String {
        let whole = Bytes::copy_from_slice(text.as_bytes());
        let members = Members::read(text).unwrap();
        let mut splice = Splice::new();
        splice.remove_members(text.as_bytes(), &members, |key| keys.contains(&key));
        String::from_utf8(splice.apply(&whole).to_vec()).unwrap()
    }

    #[test]
    fn removing_a_member_removes_one_comma() {
        assert_eq!(
            without(r#"{"a":1,"b":2,"c":3}"#, &["a"]),
            r#"{"b":2,"c":3}"#
        );
        assert_eq!(
            without(r#"{"a":1,"b":2,"c":3}"#, &["c"]),
            r#"{"a":1,"b":2}"#
        );
        assert_eq!(without(r#"{"a":1}"#, &["a"]), "{}");
        assert_eq!(
            without(r#"{ "a\"b" : "x:\"y" , "c" : 1 }"#, &["a\"b"]),
            r#"{ "c" : 1 }"#
        );
        assert_eq!(
            without(r#"{ "a\"b" : "x:\"y" , "c" : 1 }"#, &["a\"b", "c"]),
            r#"{  }"#
        );
        for text in [r#"{"a":1,"b":2,"c":3}"#, r#"{"x":0 , "a":1,"b":2 ,"c":3}"#] {
            for keys in [["b", "c"], ["a", "b"], ["a", "c"]] {
                let out = without(text, &keys);
                let value: serde_json::Value =
                    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{out}: {e}"));
                assert!(keys.iter().all(|key| value.get(key).is_none()), "{out}");
            }
            assert!(
                serde_json::from_str::<serde_json::Value>(&without(text, &["a", "b", "c"])).is_ok()
            );
        }
    }

    #[test]
    fn members_are_inserted_at_the_front() {
        for (text, out) in [
            ("{}", r#"{"k":1}"#),
            ("{ }", r#"{"k":1 }"#),
            (r#"{"a":2}"#, r#"{"k":1,"a":2}"#),
        ] {
            let whole = Bytes::copy_from_slice(text.as_bytes());
            let mut splice = Splice::new();
            splice.insert_member(text.as_bytes(), &(0..text.len()), "k", "1");
            assert_eq!(splice.apply(&whole), out);
        }
    }

    #[test]
    fn only_the_id_is_replaced() {
        let bytes =
            Bytes::from_static(br#"{"jsonrpc":"2.0", "id" : 7,"method":"x","params":{"id":7}}"#);
        let message = Message::parse(bytes.clone()).unwrap();
        let mut splice = Splice::new();
        splice.id(&message, Bytes::from_static(b"\"abc\""));
        assert_eq!(
            splice.apply(&bytes),
            &br#"{"jsonrpc":"2.0", "id" : "abc","method":"x","params":{"id":7}}"#[..]
        );
    }
}
