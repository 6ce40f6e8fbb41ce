//! Properties of JSON text on which clients' parsers disagree: nesting depth and lone surrogates.

use std::borrow::Cow;

/// Returns the maximum nesting depth of a JSON text.
pub(super) fn depth(raw: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in raw.bytes() {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                now += 1;
                most = most.max(now);
            }
            b'}' | b']' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// Replaces each escaped lone surrogate by the replacement character, because UTF-8 cannot represent it.
pub(super) fn without_lone_surrogates(raw: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memchr::memchr(b'\\', &raw.as_bytes()[at..]) {
        let escape = at + found;
        let Some(unit) = unit(raw, escape) else {
            // Skip the backslash and the character that it escapes.
            at = (escape + 2).min(raw.len());
            continue;
        };
        let next = unit_after(raw, escape + 6);
        at = match (unit, next) {
            (0xd800..=0xdbff, Some(0xdc00..=0xdfff)) => escape + 12,
            (0xd800..=0xdfff, _) => {
                out.push_str(&raw[copied..escape]);
                out.push_str("\\ufffd");
                copied = escape + 6;
                copied
            }
            _ => escape + 6,
        };
    }
    if copied == 0 {
        return Cow::Borrowed(raw);
    }
    out.push_str(&raw[copied..]);
    Cow::Owned(out)
}

fn unit_after(raw: &str, at: usize) -> Option<u16> {
    (raw.as_bytes().get(at) == Some(&b'\\')).then(|| unit(raw, at))?
}

/// Returns the code unit of the escape `\uXXXX` that begins here.
fn unit(raw: &str, at: usize) -> Option<u16> {
    (raw.as_bytes().get(at + 1) == Some(&b'u')).then_some(())?;
    u16::from_str_radix(raw.get(at + 2..at + 6)?, 16).ok()
}
