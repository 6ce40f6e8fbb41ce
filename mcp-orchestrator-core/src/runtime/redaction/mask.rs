//! Finds the secrets of one instance in a text, in time linear in the text.
//!
//! A form of a secret is found as a whole and in part: any 12 bytes of it, its beginning at the end of a line, and
//! its remainder at the start of the next line. To find parts, 8-byte windows are indexed at every fifth offset of a
//! form, so that any 12 bytes contain one. A matching window is extended in both directions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::ops::Range;

use foldhash::fast::RandomState;
use memchr::memmem;
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};

use super::MIN_REDACTED_LEN;
use crate::limits::MAX_MASK_LEN;
use crate::runtime::LogSource;

/// Replaces a secret in the output.
pub(super) const MARK: &str = "[secret]";
/// Minimum length of a part that is redacted anywhere, in bytes.
const PART: usize = 12;
const WINDOW: usize = 8;
const STRIDE: usize = PART - WINDOW + 1;
/// Minimum length of a line's start to be taken for the continuation of a form, in bytes.
const MIN_CONTINUATION_LEN: usize = 4;
/// Maximum number of forms tracked across the end of one line.
const OPEN: usize = 64;

/// The forms of all secrets of one instance.
#[derive(Default)]
pub(in crate::runtime) struct Mask {
    forms: Vec<SecretString>,
    /// Maps the hash of a window to its form and the offset in it.
    windows: HashMap<u64, (usize, usize)>,
    /// Maps the hash of a prefix shorter than [`PART`] bytes to the forms that start with it.
    beginnings: HashMap<u64, Vec<usize>>,
    /// The first two bytes of all windows; most positions of a text are ruled out by this set alone.
    pairs: Pairs,
    hasher: RandomState,
    open: Mutex<Vec<(LogSource, Vec<Open>)>>,
}

/// A form that continues past the end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    form: usize,
    /// How many bytes of it have been written.
    written: usize,
}

/// A set of byte pairs.
struct Pairs(Box<[u64; 1024]>);

// === impl Mask ===

impl Mask {
    /// Looks for these forms. The most important ones come first: those beyond the size limit are dropped.
    pub(super) fn new(forms: impl IntoIterator<Item = String>) -> Self {
        let mut mask = Self::default();
        let mut total = 0;
        for form in forms {
            total += form.len();
            if total > MAX_MASK_LEN {
                break;
            }
            if form.len() >= MIN_REDACTED_LEN {
                mask.add(form);
            }
        }
        mask
    }

    fn add(&mut self, form: String) {
        let bytes = form.as_bytes();
        if bytes.len() >= PART {
            let last = bytes.len() - WINDOW;
            let offsets = (0..last).step_by(STRIDE).chain([last]);
            for offset in offsets {
                let window = &bytes[offset..offset + WINDOW];
                self.pairs.insert(window[0], window[1]);
                let hash = self.hasher.hash_one(window);
                self.windows
                    .entry(hash)
                    .or_insert((self.forms.len(), offset));
            }
        }
        for end in 1..PART.min(bytes.len()) {
            let hash = self.hasher.hash_one(&bytes[..end]);
            let forms = self.beginnings.entry(hash).or_default();
            if forms.len() < OPEN {
                forms.push(self.forms.len());
            }
        }
        self.forms.push(form.into());
    }

    /// Redacts secrets and parts of them. If `source` is given, `text` is one line of that source, and a secret that
    /// spans several lines is found as well.
    pub(in crate::runtime) fn redact<'a>(
        &self,
        source: Option<LogSource>,
        text: &'a str,
    ) -> Cow<'a, str> {
        if self.forms.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut found = Vec::new();
        let mut ends_in = Vec::new();
        self.find_short(text, &mut found);
        self.find_parts(text, &mut found, &mut ends_in);
        self.find_end(text, &mut found, &mut ends_in);
        if let Some(source) = source {
            let begun = self.replace_open(source, Vec::new());
            self.find_rest(text, &begun, &mut found, &mut ends_in);
            ends_in.truncate(OPEN);
            self.replace_open(source, ends_in);
        }
        masked(text, found)
    }

    fn form(&self, form: usize) -> &[u8] {
        self.forms[form].expose_secret().as_bytes()
    }

    /// Finds forms that are too short to have parts.
    fn find_short(&self, text: &str, found: &mut Vec<Range<usize>>) {
        let forms = self
            .forms
            .iter()
            .map(|form| form.expose_secret().as_bytes());
        for form in forms.filter(|form| form.len() < PART) {
            let starts = memmem::find_iter(text.as_bytes(), form);
            found.extend(starts.map(|start| start..start + form.len()));
        }
    }

    fn find_parts(&self, text: &str, found: &mut Vec<Range<usize>>, ends_in: &mut Vec<Open>) {
        let text = text.as_bytes();
        let mut masked = 0;
        for start in 0..text.len().saturating_sub(WINDOW - 1) {
            let end = start + WINDOW;
            if end <= masked || !self.pairs.contains(text[start], text[start + 1]) {
                continue;
            }
            let hash = self.hasher.hash_one(&text[start..end]);
            let Some(&(index, offset)) = self.windows.get(&hash) else {
                continue;
            };
            let form = self.form(index);
            if form[offset..offset + WINDOW] != text[start..end] {
                continue;
            }
            let after = common(&text[end..], &form[offset + WINDOW..]);
            let before = common_back(&text[..start], &form[..offset]);
            if before + WINDOW + after >= PART {
                masked = end + after;
                found.push(start - before..masked);
                let written = offset + WINDOW + after;
                if masked == text.len() {
                    self.open_all(&form[..written], ends_in);
                }
            }
        }
    }

    /// Tracks every longer form with this prefix, because encodings may differ only near the end.
    fn open_all(&self, begun: &[u8], ends_in: &mut Vec<Open>) {
        let written = begun.len();
        for form in 0..self.forms.len() {
            if self.form(form).len() > written && self.form(form).starts_with(begun) {
                ends_in.push(Open { form, written });
            }
        }
    }

    /// Finds the beginning of a form at the end of the text where it is too short to count as a part.
    fn find_end(&self, text: &str, found: &mut Vec<Range<usize>>, ends_in: &mut Vec<Open>) {
        let text = text.trim_end().as_bytes();
        for written in (1..PART.min(text.len() + 1)).rev() {
            let start = text.len() - written;
            let end = &text[start..];
            let forms = self.beginnings.get(&self.hasher.hash_one(end));
            let forms = forms.into_iter().flatten();
            let before = ends_in.len();
            for &form in forms.filter(|form| self.form(**form).starts_with(end)) {
                ends_in.push(Open { form, written });
            }
            // A shorter beginning is not redacted, but it helps to recognize the remainder.
            if written >= MIN_REDACTED_LEN && ends_in.len() > before {
                found.push(start..text.len());
            }
        }
    }

    /// Finds the remainder of a form that began on the previous line.
    fn find_rest(
        &self,
        text: &str,
        begun: &[Open],
        found: &mut Vec<Range<usize>>,
        ends_in: &mut Vec<Open>,
    ) {
        let line = text.trim();
        let start = text.len() - text.trim_start().len();
        for open in begun {
            let rest = &self.form(open.form)[open.written..];
            let len = common(line.as_bytes(), rest);
            let complete = len == rest.len();
            let goes_on = len == line.len() && !complete;
            let enough = len >= MIN_CONTINUATION_LEN || open.written >= MIN_REDACTED_LEN;
            if len > 0 && enough && (complete || goes_on || len >= PART) {
                found.push(start..start + len);
                if goes_on {
                    ends_in.push(Open {
                        form: open.form,
                        written: open.written + len,
                    });
                }
            }
        }
    }

    fn replace_open(&self, source: LogSource, with: Vec<Open>) -> Vec<Open> {
        let mut open = self.open.lock();
        match open.iter_mut().find(|(of, _)| *of == source) {
            Some((_, last)) => std::mem::replace(last, with),
            None => {
                open.push((source, with));
                Vec::new()
            }
        }
    }
}

/// Replaces each of these ranges by the marker.
fn masked(text: &str, mut found: Vec<Range<usize>>) -> Cow<'_, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut done = 0;
    let mut open = false;
    for range in found {
        // A match may end inside a multi-byte character.
        let start = text.floor_char_boundary(range.start);
        let end = text.ceil_char_boundary(range.end);
        if start > done || !open {
            shown.push_str(text.get(done..start).unwrap_or_default());
            shown.push_str(MARK);
            open = true;
        }
        done = done.max(end);
    }
    shown.push_str(&text[done..]);
    Cow::Owned(shown)
}

fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

fn common_back(one: &[u8], other: &[u8]) -> usize {
    let pairs = one.iter().rev().zip(other.iter().rev());
    pairs.take_while(|(a, b)| a == b).count()
}

// === impl Pairs ===

impl Default for Pairs {
    fn default() -> Self {
        Self(Box::new([0; 1024]))
    }
}

impl Pairs {
    fn insert(&mut self, first: u8, second: u8) {
        let (word, bit) = place(first, second);
        self.0[word] |= bit;
    }

    fn contains(&self, first: u8, second: u8) -> bool {
        let (word, bit) = place(first, second);
        self.0[word] & bit != 0
    }
}

fn place(first: u8, second: u8) -> (usize, u64) {
    let pair = usize::from(first) << 8 | usize::from(second);
    (pair / 64, 1 << (pair % 64))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::super::forms::forms;
    use super::*;

    const SECRET: &str = "ORG-SECRET-0123456789";

    fn mask(secret: &str) -> Mask {
        Mask::new(forms(secret))
    }

    fn redact(mask: &Mask, text: &str) -> String {
        mask.redact(None, text).into_owned()
    }

    #[test]
    fn parts_of_a_secret_are_masked() {
        let mask = mask(SECRET);
        for (text, shown) in [
            ("a ORG-SECRET-0123 b", "a [secret] b"),
            ("ends -0123456789!", "ends -0123456789!"),
            ("ends ET-0123456789!", "ends [secret]!"),
            ("ORG-SECRET-01234567890123456789", "[secret]0123456789"),
            ("ORG-SECRET-0123456789ORG-SECRET-0123456789", "[secret]"),
            ("begins ORG-SE", "begins [secret]"),
            ("begins ORG-S", "begins ORG-S"),
            ("äORG-SECRET-0123456789ä", "ä[secret]ä"),
        ] {
            assert_eq!(redact(&mask, text), shown);
        }
    }

    #[test]
    fn every_window_of_a_secret_is_masked() {
        let mask = mask(SECRET);
        for start in 0..=SECRET.len() - PART {
            for end in start + PART..=SECRET.len() {
                let text = format!("x{}y", &SECRET[start..end]);
                assert_eq!(redact(&mask, &text), "x[secret]y", "{text}");
            }
        }
    }

    #[test]
    fn secret_split_across_two_lines_is_masked() {
        let encoded = STANDARD.encode(format!("user:{SECRET}"));
        // The bytes before the secret determine the first seven characters.
        for (written, own) in [(SECRET, SECRET), (&encoded, &encoded[7..])] {
            for at in 1..written.len() {
                let mask = mask(SECRET);
                let source = Some(LogSource::Stderr);
                let first = mask.redact(source, &written[..at]).into_owned();
                let second = mask.redact(source, &written[at..]).into_owned();
                let shown = format!("{first}{second}");
                let runs = shown.split(MARK).flat_map(|shown| {
                    let parts = (0..shown.len()).map(|start| &shown[start..]);
                    parts.filter_map(|part| {
                        (0..=part.len())
                            .rev()
                            .find(|end| own.contains(&part[..*end]))
                    })
                });
                let longest = runs.max().unwrap_or_default();
                assert!(longest < MIN_REDACTED_LEN, "{at}: {first} | {second}");
            }
        }
    }

    #[test]
    fn secret_spread_over_many_lines_is_masked() {
        let mask = mask(SECRET);
        let source = Some(LogSource::Stdout);
        let lines = [
            "key: ORG-SECR",
            "  ET-01",
            "  2345",
            "  6789",
            "all is well",
        ];
        let shown = lines.map(|line| mask.redact(source, line).into_owned());
        let expected = [
            "key: [secret]",
            "  [secret]",
            "  [secret]",
            "  [secret]",
            "all is well",
        ];
        assert_eq!(shown, expected);
        // A line of another source does not continue it.
        mask.redact(source, "ORG-SECR");
        assert_eq!(mask.redact(Some(LogSource::Stderr), "ET-0123"), "ET-0123");
    }

    #[test]
    fn other_text_is_unchanged() {
        let mask = mask("correct horse battery staple");
        for text in ["", "a", "all is well", "horse", "ä", "the staple battery"] {
            assert_eq!(redact(&mask, text), text);
        }
    }

    #[test]
    fn number_of_forms_is_bounded() {
        let long = "x".repeat(MAX_MASK_LEN / 2);
        let mask = Mask::new([SECRET.to_owned(), long.clone(), long.clone(), long]);
        assert_eq!(mask.forms.len(), 2);
        assert_eq!(redact(&mask, SECRET), MARK);
    }

    #[test]
    fn near_matches_are_scanned_in_linear_time() {
        // Every window of the text occurs in the form, but no match is long enough.
        let secret: String = (0..100).map(|n| format!("abcdefgh{n:02}")).collect();
        let mask = mask(&secret);
        let text = "abcdefgh--".repeat(100_000);
        assert_eq!(redact(&mask, &text), text);
        let repeated = mask_of_one_letter();
        assert_eq!(redact(&repeated, &"a".repeat(1_000_000)), MARK);
    }

    fn mask_of_one_letter() -> Mask {
        Mask::new(["a".repeat(4096)])
    }
}
