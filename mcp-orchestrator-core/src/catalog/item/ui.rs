//! The user interface of a tool (MCP Apps): the resource that its definition names.

use crate::jsonrpc::{Members, text};
use crate::limits::MAX_URI_LEN;

/// Member of a tool's `_meta` that held the resource in drafts of the extension.
const FLAT_KEY: &str = "ui/resourceUri";

/// Returns the JSON strings in a tool's `_meta` that name its user interface.
pub(super) fn values<'a>(meta: &Members<'a>) -> impl Iterator<Item = &'a str> {
    let nested = meta.get("ui").and_then(Members::read);
    let nested = nested.and_then(|ui| ui.get("resourceUri"));
    nested.into_iter().chain(meta.get(FLAT_KEY))
}

/// Returns the resources that a tool's `_meta` names.
pub(super) fn uris(meta: Option<&str>) -> Vec<String> {
    let Some(meta) = meta.and_then(Members::read) else {
        return Vec::new();
    };
    let mut found: Vec<String> = Vec::new();
    for uri in values(&meta).filter_map(text) {
        if !uri.is_empty() && uri.len() <= MAX_URI_LEN && !found.iter().any(|known| *known == uri) {
            found.push(uri.into_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::uris;

    #[test]
    fn both_forms_are_read_and_others_ignored() {
        for (meta, found) in [
            (r#"{"ui":{"resourceUri":"ui://a/x"}}"#, vec!["ui://a/x"]),
            (r#"{"ui/resourceUri":"ui:\/\/b"}"#, vec!["ui://b"]),
            (
                r#"{"ui/resourceUri":"ui://a","ui":{"resourceUri":"ui://a"}}"#,
                vec!["ui://a"],
            ),
            (
                r#"{"ui/resourceUri":"ui://a","ui":{"resourceUri":"ui://b","x":1}}"#,
                vec!["ui://b", "ui://a"],
            ),
            (r#"{"ui":{"resourceUri":7}}"#, vec![]),
            (r#"{"ui":null,"ui/resourceUri":""}"#, vec![]),
            (r#"{"other":{"resourceUri":"ui://a"}}"#, vec![]),
            ("7", vec![]),
        ] {
            assert_eq!(uris(Some(meta)), found, "{meta}");
        }
        assert!(uris(None).is_empty());
    }
}
