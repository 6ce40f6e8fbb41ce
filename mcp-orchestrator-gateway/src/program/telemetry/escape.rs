//! Escapes text from servers and clients in log lines, so that it stays on one line and cannot control a terminal.

use std::fmt;

use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};

/// Formats fields as usual, and escapes characters that could forge a line or hide part of one.
#[derive(Debug, Default)]
pub(crate) struct EscapedFields;

impl<'w> FormatFields<'w> for EscapedFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        escape(&mut writer, &text)
    }
}

fn escape(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let mut plain = 0;
    for (at, char) in text.char_indices().filter(|(_, char)| is_active(*char)) {
        out.write_str(&text[plain..at])?;
        write!(out, "{}", char.escape_default())?;
        plain = at + char.len_utf8();
    }
    out.write_str(&text[plain..])
}

/// Returns `true` if a character does more than display: control characters, line and paragraph separators, and the
/// format characters of Unicode (category Cf), which reorder or hide text.
fn is_active(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1345f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        escape(&mut out, text).unwrap();
        out
    }

    #[test]
    fn control_characters_in_log_text_are_escaped() {
        for (text, expected) in [
            ("no\nERROR forged", "no\\nERROR forged"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            (
                "\u{1b}[31mred\u{1b}]0;title\u{7}",
                "\\u{1b}[31mred\\u{1b}]0;title\\u{7}",
            ),
            ("\u{9b}2J\u{85}x\u{7f}", "\\u{9b}2J\\u{85}x\\u{7f}"),
            ("abc\u{202e}gpj.exe", "abc\\u{202e}gpj.exe"),
            (
                "\u{2066}x\u{2069}\u{200b}\u{2028}",
                "\\u{2066}x\\u{2069}\\u{200b}\\u{2028}",
            ),
            (
                "\u{feff}\u{ad}\u{61c}\u{e0041}",
                "\\u{feff}\\u{ad}\\u{61c}\\u{e0041}",
            ),
            ("Grüße, 世界 🎉 naïve", "Grüße, 世界 🎉 naïve"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }
}
