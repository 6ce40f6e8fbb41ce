//! One page of a gateway's merged list.

use std::sync::Arc;

use super::Kept;
use crate::id::Alias;
use crate::jsonrpc::quote;
use crate::router::{ItemKind, ToolFilter, shown};

/// Items of a page.
const ITEMS: usize = 1000;
/// Bytes of a page; one item may be larger.
const BYTES: usize = 4 << 20;

/// One server's part of a merged list.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) alias: Alias,
    pub(crate) tools: ToolFilter,
    pub(crate) kept: Arc<Kept>,
}

/// A page as JSON, and where the next one begins.
///
/// Names are spliced; all else of an item stays as it came. A name that was shown before is left out: the order of the
/// configuration decides.
pub(crate) fn page(
    sources: &[Source],
    kind: ItemKind,
    prefixed: bool,
    from: usize,
) -> (String, Option<usize>) {
    let key = match kind {
        ItemKind::Tool => "tools",
        ItemKind::Prompt => "prompts",
        ItemKind::Resource => "resources",
        ItemKind::Template => "resourceTemplates",
    };
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
                (&item.name[..]).into()
            };
            if sources.len() > 1 && !seen.insert(name.clone().into_owned()) {
                continue;
            }
            at += 1;
            if at <= from {
                continue;
            }
            if written > 0 && (written == ITEMS || out.len() + item.raw.len() > BYTES) {
                out.push(']');
                return (out, Some(at - 1));
            }
            if written > 0 {
                out.push(',');
            }
            written += 1;
            let raw = std::str::from_utf8(&item.raw).unwrap_or("null");
            if named && prefixed {
                out.push_str(&raw[..item.name_span.start]);
                out.push_str(&quote(&name));
                out.push_str(&raw[item.name_span.end..]);
            } else {
                out.push_str(raw);
            }
        }
    }
    out.push(']');
    (out, None)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::KeptItem;
    use super::*;
    use crate::protocol::Era;
    use crate::transport::Hello;

    fn source(alias: &str, tools: &[&str]) -> Source {
        let mut kept = Kept::new(Hello {
            era: Era::Legacy,
            version: String::new(),
            result: Bytes::new(),
        });
        let items = tools
            .iter()
            .map(|raw| KeptItem::read(ItemKind::Tool, raw).unwrap());
        kept.items_mut(ItemKind::Tool).extend(items);
        Source {
            alias: Alias::new(alias).unwrap(),
            tools: ToolFilter::All,
            kept: Arc::new(kept),
        }
    }

    #[test]
    fn only_names_change() {
        let sources = [
            source("a", &[r#"{ "x":1e99, "name" : "t" }"#]),
            source("b", &[r#"{"name":"t"}"#]),
        ];
        let (json, next) = page(&sources, ItemKind::Tool, true, 0);
        assert_eq!(
            json,
            r#""tools":[{ "x":1e99, "name" : "a__t" },{"name":"b__t"}]"#
        );
        assert_eq!(next, None);
        assert_eq!(
            page(&sources, ItemKind::Tool, false, 0).0,
            r#""tools":[{ "x":1e99, "name" : "t" }]"#
        );
    }

    #[test]
    fn pages_hold_all_items_once() {
        let raws: Vec<String> = (0..2500)
            .map(|n| format!("{{\"name\":\"t{n}\"}}"))
            .collect();
        let sources = [source(
            "a",
            &raws.iter().map(|raw| &raw[..]).collect::<Vec<_>>(),
        )];
        let (mut from, mut seen) = (Some(0), 0);
        while let Some(start) = from {
            let (json, next) = page(&sources, ItemKind::Tool, false, start);
            let value: serde_json::Value = serde_json::from_str(&format!("{{{json}}}")).unwrap();
            seen += value["tools"].as_array().unwrap().len();
            from = next;
        }
        assert_eq!(seen, 2500);
    }
}
