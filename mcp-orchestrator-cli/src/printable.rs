//! Makes texts of servers and gateways safe to print on a terminal.

/// Makes a text of a server or a gateway safe to print on one line of a terminal. Control characters become spaces;
/// characters that are invisible or reorder others become U+FFFD.
pub(crate) fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => c,
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
        c if is_invisible(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Returns `true` for direction marks, joiners and tags, which make a text look different from what it contains.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Like [`clean`], for a text of several lines.
pub(crate) fn cleaned(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_in_server_text_are_neutralized() {
        for (text, shown) in [
            ("a\u{1b}[2Jb\nc", "a [2Jb c"),
            ("\u{1b}]0;title\u{7}", " ]0;title "),
            ("\u{9b}31m\u{9d}0;x\u{9c}", " 31m 0;x "),
            ("a\rb\u{8}\u{7f}", "a b  "),
            ("evil\u{202e}txt.exe", "evil\u{fffd}txt.exe"),
            ("\u{2066}a\u{2069}\u{200f}", "\u{fffd}a\u{fffd}\u{fffd}"),
            ("a\u{200b}b\u{feff}\u{e0041}", "a\u{fffd}b\u{fffd}\u{fffd}"),
            ("a\u{2028}b\u{85}c", "a b c"),
            ("Grüße 你好 👍\t", "Grüße 你好 👍\t"),
        ] {
            assert_eq!(clean(text), shown);
        }
        assert_eq!(cleaned("a\nb\rc"), "a\nb c");
    }
}
