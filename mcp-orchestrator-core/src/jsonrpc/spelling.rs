//! Detects members that other parsers of the same text could take for another member.
//!
//! A message is judged by a few members and forwarded byte for byte. Parsers disagree about a member that occurs twice,
//! and some ignore case: Go's `encoding/json` accepts `Name` for `name`, the last one wins, and folds U+017F and U+212A
//! to `s` and `k`; Java's `equalsIgnoreCase` folds U+0130 and U+0131 to `i`; a parser in C ends a name at its first
//! NUL. The gateway must judge exactly what the server reads, so such a message is ambiguous.

use super::scan::Key;
use super::text;
use crate::protocol::meta;

/// Names of members, at most 32.
#[derive(Debug)]
pub(super) struct Names {
    names: &'static [&'static str],
    /// Returns the position of a name.
    position: fn(&[u8]) -> Option<usize>,
}

/// Defines [`Names`]. The lookup compares with constants, which costs an instruction or two for each other length.
macro_rules! names {
    ($($name:expr),* $(,)?) => {{
        fn position(key: &[u8]) -> Option<usize> {
            let at = 0;
            $(
                if key == $name.as_bytes() {
                    return Some(at);
                }
                let at = at + 1;
            )*
            let _ = at;
            None
        }
        const { assert!([$($name),*].len() <= 32) };
        Names { names: &[$($name),*], position }
    }};
}

impl Names {
    /// Returns the position of the name that some parser takes `key` for, given that no name equals it.
    fn taken_for(&self, key: &[u8]) -> Option<usize> {
        let mut names = self.names.iter();
        if key.iter().all(|byte| (1..0x80).contains(byte)) {
            return names.position(|name| key.eq_ignore_ascii_case(name.as_bytes()));
        }
        names.position(|name| is_taken_for(key, name))
    }
}

/// Members of a message.
pub(super) static TOP: Names = names!["jsonrpc", "id", "method", "params", "result", "error"];

/// Members of `params` that determine the target of a request or what a server may do with it.
pub(super) static PARAMS: Names = names![
    "name",
    "arguments",
    "_meta",
    "uri",
    "ref",
    "taskId",
    "task",
    "cursor",
    "level",
    "progressToken",
    "requestId",
    "requestState",
    "inputResponses",
    "notifications",
    "protocolVersion",
    "capabilities",
    "clientInfo",
];

/// Members of `params._meta`.
pub(super) static META: Names = names![
    meta::PROTOCOL_VERSION,
    meta::CLIENT_INFO,
    meta::CLIENT_CAPABILITIES,
    "progressToken",
    meta::LOG_LEVEL,
    meta::RELATED_TASK,
    meta::SUBSCRIPTION_ID,
];

/// Members of `params.ref`.
pub(super) static REFERENCE: Names = names!["type", "name", "uri"];

/// Tracks the watched members of one object.
#[derive(Debug)]
pub(super) struct Spellings {
    names: &'static Names,
    /// A bit for each name that occurred.
    seen: u32,
    /// A bit for each name that occurred again or in another spelling.
    unclear: u32,
}

impl Spellings {
    pub(super) fn of(names: &'static Names) -> Self {
        Self {
            names,
            seen: 0,
            unclear: 0,
        }
    }

    /// Returns `true` if a name occurred again or in another spelling.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.unclear != 0
    }

    /// Returns `true` if this name occurred.
    pub(super) fn has(&self, name: &str) -> bool {
        let mut names = self.names.names.iter().enumerate();
        self.seen != 0 && names.any(|(at, known)| *known == name && self.seen & (1 << at) != 0)
    }

    /// Returns `true` if this name occurred again or in another spelling.
    pub(super) fn is_unclear(&self, name: &str) -> bool {
        let mut names = self.names.names.iter().enumerate();
        names.any(|(at, known)| *known == name && self.unclear & (1 << at) != 0)
    }

    /// Records the next key of the object, given with its quotes, and returns the name that it spells exactly.
    pub(super) fn take(&mut self, whole: &[u8], key: &Key) -> Option<&'static str> {
        let raw = &whole[key.span.start + 1..key.span.end - 1];
        if !key.escaped {
            return self.name(raw);
        }
        let decoded = std::str::from_utf8(&whole[key.span.clone()])
            .ok()
            .and_then(text);
        self.name(decoded.unwrap_or_default().as_bytes())
    }

    fn name(&mut self, key: &[u8]) -> Option<&'static str> {
        let Some(at) = (self.names.position)(key) else {
            let like = self.names.taken_for(key);
            self.unclear |= like.map_or(0, |at| 1 << at);
            return None;
        };
        self.unclear |= self.seen & (1 << at);
        self.seen |= 1 << at;
        Some(self.names.names[at])
    }
}

/// Returns `true` if some parser takes `key` for `name`.
pub(crate) fn is_taken_for(key: &[u8], name: &str) -> bool {
    if key.eq_ignore_ascii_case(name.as_bytes()) {
        return true;
    }
    // Any other match is longer than `name`: it contains a multi-byte character or a NUL.
    if key.len() <= name.len() {
        return false;
    }
    let Ok(key) = std::str::from_utf8(key) else {
        return false;
    };
    let key = key.split('\0').next().unwrap_or_default();
    key.chars()
        .map(folded)
        .eq(name.chars().map(|c| c.to_ascii_lowercase()))
}

fn folded(c: char) -> char {
    match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        _ => c.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_watched_name_is_found_in_every_spelling() {
        for names in [&TOP, &PARAMS, &META, &REFERENCE] {
            for name in names.names {
                let upper = name.to_ascii_uppercase();
                for (spelling, known) in [(*name, true), (&upper[..], false)] {
                    let mut spellings = Spellings::of(names);
                    let found = spellings.name(spelling.as_bytes());
                    assert_eq!(found, known.then_some(*name));
                    assert_eq!(spellings.is_unclear(name), !known);
                    spellings.name(name.as_bytes());
                    spellings.name(format!("{name}\0").as_bytes());
                    assert!(spellings.is_unclear(name) && spellings.is_ambiguous());
                }
            }
            let mut spellings = Spellings::of(names);
            assert_eq!(spellings.name("x".repeat(64).as_bytes()), None);
            assert!(!spellings.is_ambiguous());
        }
    }

    #[test]
    fn every_reader_that_folds_names_is_thought_of() {
        for (key, name) in [
            ("name", "name"),
            ("Name", "name"),
            ("TASKID", "taskId"),
            ("task\u{131}d", "taskId"),
            ("TASK\u{130}D", "taskId"),
            ("ta\u{17f}kId", "taskId"),
            ("tas\u{212a}Id", "taskId"),
            ("progre\u{17f}\u{17f}To\u{212a}en", "progressToken"),
            ("name\0", "name"),
            ("NAME\0x", "name"),
            ("_META", "_meta"),
            (
                "IO.modelcontextprotocol/logLevel",
                "io.modelcontextprotocol/logLevel",
            ),
        ] {
            assert!(is_taken_for(key.as_bytes(), name), "{key:?}");
        }
        for (key, name) in [
            ("names", "name"),
            ("nam", "name"),
            ("nam\u{e9}", "name"),
            ("\0name", "name"),
            ("", "name"),
            ("\0", "name"),
            ("n\u{e1}me", "name"),
            ("meta", "_meta"),
            ("task_id", "taskId"),
            ("tas\u{17f}", "task"),
        ] {
            assert!(!is_taken_for(key.as_bytes(), name), "{key:?}");
        }
    }
}
