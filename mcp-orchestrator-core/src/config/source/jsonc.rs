//! JSON with comments.

use std::borrow::Cow;
use std::path::Path;

/// Replaces comments by blanks, so that positions are preserved. Only for files named as JSON, because `//` has another
/// meaning in YAML.
pub(crate) fn strip_comments<'t>(file: &Path, text: &'t str) -> Cow<'t, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let json = file
        .extension()
        .is_some_and(|extension| extension == "json" || extension == "jsonc");
    if !json || !text.contains('/') {
        return Cow::Borrowed(text);
    }
    let mut blanked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', '/']) {
        blanked.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = if rest.starts_with('"') {
            let end = end_of_string(rest);
            blanked.push_str(&rest[..end]);
            end
        } else if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            blank(&mut blanked, &rest[..end]);
            end
        } else if let Some(comment) = rest.strip_prefix("/*") {
            let end = comment.find("*/").map_or(rest.len(), |end| end + 4);
            blank(&mut blanked, &rest[..end]);
            end
        } else {
            blanked.push('/');
            1
        };
        rest = &rest[end..];
    }
    blanked.push_str(rest);
    Cow::Owned(blanked)
}

/// Returns the length of the JSON string at the beginning of the text.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Appends blanks of the same length in bytes, keeping line breaks.
fn blank(to: &mut String, comment: &str) {
    to.extend(
        comment
            .bytes()
            .map(|byte| if byte == b'\n' { '\n' } else { ' ' }),
    );
}
