//! Texts of issuers and servers, made safe for messages.

/// Maximum length of foreign text quoted in a message.
const MAX_QUOTED_LEN: usize = 120;
/// Maximum length of a quoted error code.
const MAX_CODE_LEN: usize = 60;

/// Makes foreign text safe for a message: printable ASCII only, and short.
pub(crate) fn shortened(text: &str) -> String {
    let plain = text.chars().filter(|c| matches!(c, ' '..='~'));
    plain.take(MAX_QUOTED_LEN).collect()
}

/// Reduces an issuer's error code to word characters.
pub(crate) fn error_code(text: &str) -> String {
    let is_word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let word: String = text.chars().filter(is_word).take(MAX_CODE_LEN).collect();
    if word.is_empty() {
        "no reason".to_owned()
    } else {
        word
    }
}
