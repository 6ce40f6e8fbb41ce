//! The forms in which programs print a secret: verbatim and in the usual encodings.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Returns all distinct forms of a value, starting with the value itself.
pub(super) fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    let mut add = |form: String| {
        if !form.is_empty() && !forms.contains(&form) {
            forms.push(form);
        }
    };
    for skipped in 0..3 {
        let [standard, url] = base64(value, skipped);
        // Base64 in a query string.
        let escaped = percent(&standard, Percent::Component);
        [standard, url, escaped].into_iter().for_each(&mut add);
    }
    for style in [
        Percent::Component,
        Percent::Path,
        Percent::Form,
        Percent::All,
    ] {
        let upper = percent(value, style);
        let lower = lower_escapes(&upper);
        add(upper);
        add(lower);
    }
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    add(hex.to_uppercase());
    add(hex);
    for separator in [':', ' '] {
        let bytes: Vec<String> = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        add(bytes.join(&separator.to_string()));
    }
    add(value.bytes().map(|byte| format!("\\x{byte:02x}")).collect());
    for form in json(value) {
        // JSON within JSON, as when a message is logged.
        let nested = json(&form).swap_remove(0);
        add(form);
        add(nested);
    }
    html(value).into_iter().for_each(&mut add);
    add(format!("{value:?}").trim_matches('"').to_owned());
    // Within single quotes of a shell.
    add(value.replace('\'', r"'\''"));
    forms
}

/// Returns the part of a base64 text that depends on the value alone if `skipped` bytes (modulo 3) precede it, in the
/// standard and in the URL-safe alphabet.
fn base64(value: &str, skipped: usize) -> [String; 2] {
    let mut bytes = vec![0; skipped];
    bytes.extend_from_slice(value.as_bytes());
    let start = (skipped * 8).div_ceil(6);
    let end = bytes.len() * 8 / 6;
    [STANDARD, URL_SAFE].map(|engine| {
        let text = engine.encode(&bytes);
        text.get(start..end).unwrap_or_default().to_owned()
    })
}

/// Which characters percent-encoding leaves as they are, in addition to letters and digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Percent {
    /// Those of `encodeURIComponent`.
    Component,
    /// The unreserved characters of RFC 3986.
    Path,
    /// Those of `application/x-www-form-urlencoded`, with a space as `+`.
    Form,
    /// None; letters and digits are encoded as well.
    All,
}

fn percent(value: &str, style: Percent) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        let kept = match style {
            Percent::Component => byte.is_ascii_alphanumeric() || b"-_.~!*'()".contains(&byte),
            Percent::Path => byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte),
            Percent::Form => byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte),
            Percent::All => false,
        };
        match byte {
            _ if kept => text.push(char::from(byte)),
            b' ' if style == Percent::Form => text.push('+'),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Rewrites `%2F` as `%2f`.
fn lower_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // Every later part begins with two hex digits.
        let (escape, rest) = part.split_at(2);
        lower.push('%');
        lower.push_str(&escape.to_lowercase());
        lower.push_str(rest);
    }
    lower
}

/// Escapes for a JSON string. Encoders differ in which characters they write as `\uXXXX`, in the case of its digits,
/// and in `\/`.
fn json(value: &str) -> Vec<String> {
    // Nothing extra; Go; PHP and others that embed JSON in HTML; .NET.
    let sets = ["", "<>&", "<>&'", "<>&'+`\""];
    let mut forms = Vec::new();
    for (number, set) in sets.into_iter().enumerate() {
        for slash in ["/", r"\/"] {
            let plain: String = value.chars().map(|c| json_char(c, set, slash)).collect();
            let ascii = (number > 0 || !value.is_ascii())
                .then(|| plain.chars().map(ascii).collect::<String>());
            forms.push(plain);
            forms.extend(ascii);
        }
    }
    let upper: Vec<String> = forms.iter().map(|form| upper_escapes(form)).collect();
    forms.extend(upper);
    forms
}

fn json_char(c: char, escaped: &str, slash: &str) -> String {
    match c {
        c if escaped.contains(c) => format!("\\u{:04x}", u32::from(c)),
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '/' => slash.to_owned(),
        c if c.is_ascii_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    }
}

/// Writes a non-ASCII character as `\uXXXX`.
fn ascii(c: char) -> String {
    if c.is_ascii() {
        return c.to_string();
    }
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units).iter();
    units.map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Rewrites `\u003c` as `\u003C`.
fn upper_escapes(text: &str) -> String {
    let mut parts = text.split("\\u");
    let mut upper = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escape, rest) = part.split_at(part.floor_char_boundary(4));
        upper.push_str("\\u");
        upper.push_str(&escape.to_uppercase());
        upper.push_str(rest);
    }
    upper
}

/// Escapes for HTML, with the usual names of the quotes.
fn html(value: &str) -> Vec<String> {
    let basic = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let quotes = [
        ("&quot;", "&#39;"),
        ("&#34;", "&#39;"),
        ("&quot;", "&#x27;"),
        ("&quot;", "&apos;"),
    ];
    let quoted = quotes.map(|(double, single)| basic.replace('"', double).replace('\'', single));
    let mut forms = vec![basic.clone(), basic.replace('"', "&quot;")];
    forms.extend(quoted);
    forms
}

/// Returns the parts of a value that are secret on their own: the token after an authentication scheme, and the
/// password in a URL.
pub(super) fn parts(value: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    if let Some((scheme, token)) = value.split_once(' ')
        && ["bearer", "basic", "token", "apikey"].contains(&scheme.to_lowercase().as_str())
    {
        parts.push(token.trim());
    }
    if let Some((_, rest)) = value.split_once("://")
        && let Some((user, _)) = rest
            .split(['/', '?', '#'])
            .next()
            .and_then(|all| all.rsplit_once('@'))
        && let Some((_, password)) = user.split_once(':')
    {
        parts.push(password);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_a_text_contains_the_form_for_its_alignment() {
        let secret = "s3cr3t/with+odd?bytes~";
        for before in 0..6 {
            for after in 0..4 {
                let text = format!("{}{secret}{}", "u".repeat(before), "x".repeat(after));
                let forms = forms(secret);
                for engine in [STANDARD, URL_SAFE] {
                    let encoded = engine.encode(&text);
                    assert!(
                        forms[1..]
                            .iter()
                            .any(|form| encoded.contains(form.as_str())),
                        "{encoded}"
                    );
                }
            }
        }
    }

    #[test]
    fn common_encodings_are_masked_forms() {
        let forms = forms("a b/ü\"<'&+");
        for expected in [
            "a b/ü\"<'&+",
            "a%20b%2F%C3%BC%22%3C'%26%2B",
            "a%20b%2f%c3%bc%22%3c%27%26%2b",
            "a+b%2F%C3%BC%22%3C%27%26%2B",
            "6120622fc3bc223c27262b",
            "6120622FC3BC223C27262B",
            "a b/ü\\\"<'&+",
            "a b\\/ü\\\"<'&+",
            "a b/\\u00fc\\\"\\u003c'\\u0026+",
            "a b\\/\\u00FC\\u0022\\u003C\\u0027\\u0026\\u002B",
            "a b/ü&quot;&lt;&#39;&amp;+",
            "a b/ü\"&lt;'&amp;+",
        ] {
            assert!(
                forms.iter().any(|form| form == expected),
                "{expected}: {forms:?}"
            );
        }
    }

    #[test]
    fn secrets_within_headers_and_urls_are_found() {
        assert_eq!(parts("Bearer abc"), ["abc"]);
        assert_eq!(parts("postgres://me:pass:w@rd@host/db"), ["pass:w@rd"]);
        assert_eq!(parts("https://host/a:b@c"), [""; 0]);
        assert_eq!(parts("two words"), [""; 0]);
    }
}
