//! Builds one page of a gateway's merged list.

use std::collections::HashMap;
use std::sync::Arc;

use super::collector::list_name;
use super::{Kept, KeptItem};
use crate::id::Alias;
use crate::jsonrpc::{Splice, quote};
use crate::limits::{MAX_PAGE_BYTES, MAX_PAGE_ITEMS};
use crate::protocol::Era;
use crate::router::{ItemKind, ToolFilter, shown};

/// One server's part of a merged list.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) alias: Alias,
    pub(crate) tools: ToolFilter,
    pub(crate) kept: Arc<Kept>,
    /// The resources that clients see under another address, by the server's own.
    pub(crate) renamed: HashMap<String, String>,
}

/// Returns a page as JSON, and the position of the next page.
///
/// Only names are replaced; everything else is copied unchanged. An item is skipped if its name was already shown: the
/// order of the configuration decides.
pub(crate) fn page(
    sources: &[Source],
    kind: ItemKind,
    prefixed: bool,
    era: Era,
    from: usize,
) -> (String, Option<usize>) {
    let key = list_name(kind);
    let several = sources.len() > 1;
    let named = matches!(kind, ItemKind::Tool | ItemKind::Prompt);
    let mut seen = std::collections::HashSet::new();
    let mut out = format!("\"{key}\":[");
    let (mut at, mut written) = (0, 0);
    for source in sources {
        for item in source.kept.items(kind) {
            if kind == ItemKind::Tool && !source.tools.shows(&item.name, || item.hints) {
                continue;
            }
            let name = if named {
                shown(&source.alias, &item.name, prefixed)
            } else {
                let own = &item.name[..];
                source.renamed.get(own).map_or(own, |shown| shown).into()
            };
            if several && !(item.mixes && seen.insert(name.clone().into_owned())) {
                continue;
            }
            at += 1;
            if at <= from {
                continue;
            }
            let (raw, _) = item.shown(era);
            if written > 0 && (written == MAX_PAGE_ITEMS || out.len() + raw.len() > MAX_PAGE_BYTES)
            {
                out.push(']');
                return (out, Some(at - 1));
            }
            if written > 0 {
                out.push(',');
            }
            written += 1;
            write(&mut out, item, era, &name, &source.renamed);
        }
    }
    out.push(']');
    (out, None)
}

/// Writes an item under the name that clients see.
fn write(
    out: &mut String,
    item: &KeptItem,
    era: Era,
    name: &str,
    renamed: &HashMap<String, String>,
) {
    let (raw, name_span) = item.shown(era);
    let whole = std::str::from_utf8(raw).unwrap_or("null");
    if renamed.is_empty() || item.ui.is_empty() {
        if name == item.name {
            return out.push_str(whole);
        }
        out.push_str(&whole[..name_span.start]);
        out.push_str(&quote(name));
        return out.push_str(&whole[name_span.end..]);
    }
    let mut edits = Splice::new();
    if name != item.name {
        edits.replace(name_span.clone(), quote(name));
    }
    for (span, own) in item.ui_spans(era) {
        if let Some(shown) = renamed.get(&own) {
            edits.replace(span, quote(shown));
        }
    }
    let written = edits.apply(raw);
    out.push_str(std::str::from_utf8(&written).unwrap_or("null"));
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::ListState;
    use super::*;
    use crate::transport::Hello;

    fn source(alias: &str, tools: &[&str]) -> Source {
        let mut kept = Kept::new(Hello {
            era: Era::Legacy,
            version: String::new(),
            result: Bytes::new(),
        });
        let items = tools
            .iter()
            .map(|raw| KeptItem::read(ItemKind::Tool, raw).unwrap().item);
        kept.set(ItemKind::Tool, items.collect(), ListState::Whole);
        Source {
            alias: Alias::new(alias).unwrap(),
            tools: ToolFilter::All,
            kept: Arc::new(kept),
            renamed: HashMap::new(),
        }
    }

    #[test]
    fn only_item_names_are_rewritten() {
        let sources = [
            source(
                "a",
                &[r#"{ "x":1e99, "name" : "t" ,"inputSchema":{"type":"object"}}"#],
            ),
            source("b", &[r#"{"name":"t","inputSchema":{"type":"object"}}"#]),
        ];
        let (json, next) = page(&sources, ItemKind::Tool, true, Era::Legacy, 0);
        assert_eq!(
            json,
            r#""tools":[{ "x":1e99, "name" : "a__t" ,"inputSchema":{"type":"object"}},{"name":"b__t","inputSchema":{"type":"object"}}]"#
        );
        assert_eq!(next, None);
        assert_eq!(
            page(&sources, ItemKind::Tool, false, Era::Legacy, 0).0,
            r#""tools":[{ "x":1e99, "name" : "t" ,"inputSchema":{"type":"object"}}]"#
        );
    }

    #[test]
    fn paging_returns_every_item_once() {
        let raws: Vec<String> = (0..2500)
            .map(|n| format!(r#"{{"name":"t{n}","inputSchema":{{"type":"object"}}}}"#))
            .collect();
        let sources = [source(
            "a",
            &raws.iter().map(|raw| &raw[..]).collect::<Vec<_>>(),
        )];
        let (mut from, mut seen) = (Some(0), 0);
        while let Some(start) = from {
            let (json, next) = page(&sources, ItemKind::Tool, false, Era::Modern, start);
            let value: serde_json::Value = serde_json::from_str(&format!("{{{json}}}")).unwrap();
            seen += value["tools"].as_array().unwrap().len();
            from = next;
        }
        assert_eq!(seen, 2500);
    }

    #[test]
    fn relative_uri_is_listed_only_for_a_single_server() {
        let of = |alias: &str, uri: &str| {
            let mut one = source(alias, &[]);
            let raw = format!(r#"{{"uri":"{uri}","name":"n"}}"#);
            let item = KeptItem::read(ItemKind::Resource, &raw).unwrap().item;
            let mut kept = Kept::clone(&one.kept);
            kept.set(ItemKind::Resource, vec![item], ListState::Whole);
            one.kept = Arc::new(kept);
            one
        };
        let shown = |sources: &[Source]| {
            let (json, _) = page(sources, ItemKind::Resource, false, Era::Legacy, 0);
            json.matches("\"uri\"").count()
        };
        assert_eq!(shown(&[of("a", "foo")]), 1);
        assert_eq!(shown(&[of("a", "foo"), of("b", "mem://b")]), 1);
    }
}
