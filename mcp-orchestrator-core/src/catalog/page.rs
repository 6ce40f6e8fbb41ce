//! Builds one page of a gateway's merged list.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::collector::list_name;
use super::{Kept, KeptItem};
use crate::id::Alias;
use crate::jsonrpc::{Splice, quote};
use crate::limits::{MAX_PAGE_BYTES, MAX_PAGE_ITEMS};
use crate::protocol::Era;
use crate::router::{ItemKind, ToolFilter, ToolOverrides, ViewEntry, shown};

/// One server's part of a merged list.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) alias: Alias,
    pub(crate) tools: ToolFilter,
    pub(crate) overrides: ToolOverrides,
    pub(crate) kept: Arc<Kept>,
    /// The resources that clients see under another address, by the server's own.
    pub(crate) renamed: HashMap<String, String>,
}

impl Source {
    /// Creates the part of this entry's server.
    pub(crate) fn new(entry: &ViewEntry, kept: Arc<Kept>) -> Self {
        Self {
            alias: entry.alias.clone(),
            tools: entry.tools.clone(),
            overrides: entry.overrides.clone(),
            kept,
            renamed: HashMap::new(),
        }
    }

    /// Returns `true` if all tools of the server are shown, unchanged.
    pub(crate) fn is_whole(&self) -> bool {
        self.tools == ToolFilter::All && self.overrides.is_empty()
    }

    /// Returns the name or address that clients see of an item, or `None` if it is not shown.
    fn shown_name<'a>(
        &'a self,
        kind: ItemKind,
        item: &'a KeptItem,
        prefixed: bool,
    ) -> Option<Cow<'a, str>> {
        let own = &item.name[..];
        match kind {
            ItemKind::Tool if !self.tools.shows(own, || item.hints) => None,
            ItemKind::Tool => Some(shown(&self.alias, self.overrides.shown(own)?, prefixed)),
            ItemKind::Prompt => Some(shown(&self.alias, own, prefixed)),
            ItemKind::Resource | ItemKind::Template => {
                Some(self.renamed.get(own).map_or(own, |shown| shown).into())
            }
        }
    }

    /// Writes an item under the name that clients see.
    fn write(&self, out: &mut String, kind: ItemKind, item: &KeptItem, era: Era, name: &str) {
        let (raw, name_span) = item.shown(era);
        let whole = std::str::from_utf8(raw).unwrap_or("null");
        let change = match kind {
            ItemKind::Tool => self.overrides.get(&item.name),
            _ => None,
        };
        if change.is_none() && (self.renamed.is_empty() || item.ui.is_empty()) {
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
            if let Some(shown) = self.renamed.get(&own) {
                edits.replace(span, quote(shown));
            }
        }
        if let Some(change) = change {
            item.change_definition(&mut edits, era, change);
        }
        let written = edits.apply(raw);
        out.push_str(std::str::from_utf8(&written).unwrap_or("null"));
    }
}

/// Returns a page as JSON, and the position of the next page.
///
/// Only names and what the gateway overrides are replaced; everything else is copied unchanged. An item is skipped if
/// its name was already shown: the order of the configuration decides.
pub(crate) fn page(
    sources: &[Source],
    kind: ItemKind,
    prefixed: bool,
    era: Era,
    from: usize,
) -> (String, Option<usize>) {
    let key = list_name(kind);
    let several = sources.len() > 1;
    let mut seen = std::collections::HashSet::new();
    let mut out = format!("\"{key}\":[");
    let (mut at, mut written) = (0, 0);
    for source in sources {
        for item in source.kept.items(kind) {
            let Some(name) = source.shown_name(kind, item, prefixed) else {
                continue;
            };
            if several && !(item.mixes && seen.insert(name.clone().into_owned())) {
                continue;
            }
            at += 1;
            if at <= from {
                continue;
            }
            let end = out.len();
            if written > 0 {
                out.push(',');
            }
            source.write(&mut out, kind, item, era, &name);
            if written > 0 && (written == MAX_PAGE_ITEMS || out.len() > MAX_PAGE_BYTES) {
                out.truncate(end);
                out.push(']');
                return (out, Some(at - 1));
            }
            written += 1;
        }
    }
    out.push(']');
    (out, None)
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
            overrides: ToolOverrides::default(),
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
