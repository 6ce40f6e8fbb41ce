//! Detects configured texts that may be secret, by name and by form, and masks them for display.
//!
//! A value from a variable is secret by its type ([`Text`](crate::value::Text)). A value that was written into
//! arguments, a URL or plain `env` is not, but may still be a secret: it is masked wherever the configuration is shown,
//! and `import` and `add` warn about it. In doubt, a value is masked.

use std::borrow::Cow;

/// Replacement for a masked value.
pub const MASK: &str = "[hidden]";

/// Words in names of secret values.
const WORDS: [&str; 17] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "apikey",
    "credential",
    "credentials",
    "authorization",
    "auth",
    "bearer",
    "pat",
    "cookie",
    "accesskey",
    "privatekey",
    "pass",
];
/// Words that make a following `key` secret.
const KEYS: [&str; 9] = [
    "api",
    "access",
    "private",
    "secret",
    "auth",
    "service",
    "encryption",
    "signing",
    "account",
];
/// Last words of names that refer to a secret without being one.
const HARMLESS_LAST_WORDS: [&str; 22] = [
    "file", "path", "dir", "url", "uri", "endpoint", "type", "name", "id", "ttl", "limit",
    "header", "lifetime", "expiry", "count", "size", "method", "mode", "host", "port", "scheme",
    "env",
];
/// Prefixes of the tokens of known services.
const PREFIXES: [&str; 30] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "sk-",
    "sk_",
    "rk_",
    "pk_live_",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "hf_",
    "npm_",
    "pypi-",
    "dop_v1_",
    "SG.",
    "shpat_",
    "lin_api_",
    "ntn_",
    "figd_",
    "tvly-",
    "mcpo_",
];

/// Returns `true` if a value with this name may be a secret.
pub fn may_be_secret(name: &str, value: &str) -> bool {
    !is_harmless(value) && (names_secret(name) || looks_secret(value))
}

/// Masks the password, secret parameters and secrets in the path of a URL.
pub fn masked_url(url: &str) -> String {
    mask_url(url).unwrap_or_else(|| url.to_owned())
}

/// Masks a value with this name for display.
pub fn masked_value<'v>(name: &str, value: &'v str) -> Cow<'v, str> {
    if may_be_secret(name, value) {
        return MASK.into();
    }
    mask_url(value).map_or(value.into(), Cow::Owned)
}

/// Masks the arguments of a program that may be secret.
pub fn masked_args(args: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut option: Option<String> = None;
    let mut shown = Vec::new();
    for arg in args {
        let name = option.take();
        option = arg
            .starts_with('-')
            .then(|| arg.trim_start_matches('-').to_owned());
        shown.push(match name.filter(|_| option.is_none()) {
            Some(name) if names_secret(&name) && !is_harmless(&arg) => MASK.to_owned(),
            _ => mask_arg(&arg).unwrap_or(arg),
        });
    }
    shown
}

/// Returns the indexes of arguments that contain something that may be a secret.
pub fn secret_args(args: &[String]) -> Vec<usize> {
    let shown = masked_args(args.iter().cloned());
    let pairs = args.iter().zip(&shown).enumerate();
    pairs
        .filter(|(_, (arg, shown))| arg != shown)
        .map(|(at, _)| at)
        .collect()
}

/// Masks an argument; `None` if nothing in it looks secret.
fn mask_arg(arg: &str) -> Option<String> {
    if looks_secret(arg) {
        return Some(MASK.to_owned());
    }
    if let Some((name, value)) = arg.split_once([':', '=']).filter(|(name, _)| is_name(name)) {
        let gap = &value[..value.len() - value.trim_start().len()];
        let value = value.trim_start();
        let separator = &arg[name.len()..=name.len()];
        if may_be_secret(name.trim_start_matches('-'), value) {
            return Some(format!("{name}{separator}{gap}{MASK}"));
        }
    }
    mask_url(arg)
}

/// Returns `true` for an option or a variable (before `=`) or a header (before `:`).
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.chars().all(plain)
}

fn mask_url(text: &str) -> Option<String> {
    let at = text.find("://")? + 3;
    let (scheme, rest) = text.split_at(at);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:{MASK}@{host}"),
            None if looks_secret(user) => format!("{MASK}@{host}"),
            None => authority.to_owned(),
        },
        None => authority.to_owned(),
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let part = |part: &str| match looks_secret(part) {
        true => MASK.to_owned(),
        false => part.to_owned(),
    };
    let path: Vec<String> = path.split('/').map(part).collect();
    let mut masked = format!("{scheme}{authority}{}", path.join("/"));
    if let Some(query) = query {
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, value)) if may_be_secret(name, value) => format!("{name}={MASK}"),
            _ => part(pair),
        };
        let pairs: Vec<String> = query.split('&').map(pair).collect();
        masked = format!("{masked}?{}", pairs.join("&"));
    }
    (masked != text).then_some(masked)
}

/// Returns `true` if values with this name are secret.
fn names_secret(name: &str) -> bool {
    let words = words(name);
    let Some(last) = words.last() else {
        return false;
    };
    if HARMLESS_LAST_WORDS.contains(&last.as_str()) {
        return false;
    }
    let is_key = words
        .windows(2)
        .any(|two| two[1] == "key" && KEYS.contains(&two[0].as_str()));
    is_key || words == ["key"] || words.iter().any(|word| WORDS.contains(&word.as_str()))
}

/// Splits `api-key`, `API_KEY` and `apiKey` into words in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() {
            words.push(String::new());
        } else if was_lower && c.is_ascii_uppercase() {
            words.push(c.to_ascii_lowercase().to_string());
        } else if let Some(last) = words.last_mut() {
            last.push(c.to_ascii_lowercase());
        }
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Returns `true` if a text has the form of a token, regardless of its name.
fn looks_secret(text: &str) -> bool {
    let text = text.trim();
    let bearer = text
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("bearer "));
    if bearer {
        return !is_harmless(&text[7..]);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+/=~".contains(c);
    let known = PREFIXES
        .iter()
        .any(|prefix| text.starts_with(prefix) && text.len() >= prefix.len() + 12);
    if known && text.chars().all(plain) {
        return text.chars().any(|c| c.is_ascii_digit());
    }
    let parts: Vec<&str> = text.split('.').collect();
    if text.starts_with("eyJ") && parts.len() == 3 && text.len() > 40 {
        return true;
    }
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let letters = text.chars().filter(char::is_ascii_alphabetic).count();
    let dense = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_+=".contains(c));
    dense && text.len() >= 24 && digits >= 3 && letters >= 3
}

/// Returns `true` for values that are never secret: empty, a reference to a variable, a switch, a small number, a path.
fn is_harmless(value: &str) -> bool {
    let value = value.trim();
    let is_path = ["/", "./", "../", "~/"]
        .iter()
        .any(|start| value.starts_with(start))
        && !value.contains('=');
    value.is_empty()
        || value == MASK
        || value.contains("${")
        || value.starts_with('$')
        || (value.starts_with('{') && value.ends_with('}'))
        || value == "[secret]"
        || matches!(value, "true" | "false" | "none" | "null" | "yes" | "no")
        || (value.len() < 4 && value.chars().all(|c| c.is_ascii_digit()))
        || is_path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_recognized_by_name_and_form() {
        for (name, value) in [
            ("GITHUB_TOKEN", "abc123"),
            ("apiKey", "x1y2"),
            ("API-KEY", "hunter2"),
            ("Authorization", "Basic dXNlcjpwYXNz"),
            ("x-goog-api-key", "k"),
            ("DB_PASSWORD", "secret"),
            ("anything", "ghp_0123456789abcdefghij"),
            ("anything", "Bearer abcdef"),
            (
                "anything",
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
            ),
            ("anything", "0123456789abcdef0123456789abcdef"),
        ] {
            assert!(may_be_secret(name, value), "{name} {value}");
        }
        for (name, value) in [
            ("LEVEL", "info"),
            ("TOKEN_FILE", "/run/secrets/token"),
            ("max-tokens", "4096"),
            ("GITHUB_TOKEN", "${GITHUB_TOKEN}"),
            ("TOKEN", ""),
            ("auth", "true"),
            ("AUTH_TYPE", "basic"),
            ("keyboard", "german"),
            ("anything", "@modelcontextprotocol/server-filesystem"),
            ("anything", "https://mcp.example.com/v1/sse"),
            ("PROJECT", "my-long-project-name-of-2024-and-2025"),
        ] {
            assert!(!may_be_secret(name, value), "{name} {value}");
        }
    }

    #[test]
    fn secrets_in_arguments_are_masked() {
        let masked = |line: &str| masked_args(line.split(' ').map(str::to_owned)).join(" ");
        for (line, shown) in [
            ("--token abc --level info", "--token [hidden] --level info"),
            ("--api-key=abc -v", "--api-key=[hidden] -v"),
            ("-e GITHUB_TOKEN=abc", "-e GITHUB_TOKEN=[hidden]"),
            ("-e GITHUB_TOKEN image", "-e GITHUB_TOKEN image"),
            ("--header X-Api-Key:abc", "--header X-Api-Key:[hidden]"),
            ("postgres://ann:pw@db/x", "postgres://ann:[hidden]@db/x"),
            (
                "https://x.example/mcp?api_key=abc&q=1",
                "https://x.example/mcp?api_key=[hidden]&q=1",
            ),
            ("run ghp_0123456789abcdefghij", "run [hidden]"),
            ("--token-file /etc/token", "--token-file /etc/token"),
            ("--token ${TOKEN}", "--token ${TOKEN}"),
            ("--password --verbose", "--password --verbose"),
            (
                "-y @scope/pkg@1.2.3 /srv/docs",
                "-y @scope/pkg@1.2.3 /srv/docs",
            ),
        ] {
            assert_eq!(masked(line), shown);
        }
        let header = "Authorization: Bearer abcdef".to_owned();
        assert_eq!(masked_args([header]), ["Authorization: [hidden]"]);
        let args = ["-y", "x", "--token", "abc"].map(str::to_owned);
        assert_eq!(secret_args(&args), [3]);
    }

    #[test]
    fn keys_in_addresses_are_masked() {
        for (url, shown) in [
            ("https://x.example/mcp", "https://x.example/mcp"),
            (
                "https://x.example/s/0123456789abcdef0123456789abcdef/mcp",
                "https://x.example/s/[hidden]/mcp",
            ),
            (
                "https://x.example?token=a#b",
                "https://x.example?token=[hidden]",
            ),
            (
                "https://ann:b@x.example:8443/",
                "https://ann:[hidden]@x.example:8443/",
            ),
        ] {
            assert_eq!(masked_url(url), shown);
        }
    }
}
