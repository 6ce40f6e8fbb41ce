//! One server's lists as they came, and what it said of itself.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Changed;
use crate::jsonrpc::{Members, Span, span_of, text};
use crate::protocol::Era;
use crate::router::{Hints, ItemKind};
use crate::transport::Hello;

/// One server's lists. Items stay as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) era: Era,
    pub(crate) version: String,
    /// The result of initialize or server/discover.
    pub(crate) hello: Bytes,
    tools: Vec<KeptItem>,
    prompts: Vec<KeptItem>,
    resources: Vec<KeptItem>,
    templates: Vec<KeptItem>,
}

/// One item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptItem {
    /// Its own name or URI.
    pub(crate) name: String,
    /// The item as it came.
    pub(crate) raw: Bytes,
    /// Where its name stands, as a JSON string.
    pub(crate) name_span: Span,
    /// Arguments that a modern client repeats in headers.
    pub(crate) params: Vec<HeaderParam>,
    /// What the server says of a tool.
    pub(crate) hints: Hints,
}

/// An argument of a tool that is repeated in a header (`x-mcp-header`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderParam {
    /// The path to the property, from the arguments down.
    pub(crate) path: Vec<String>,
    /// The header's name after `Mcp-Param-`.
    pub(crate) header: String,
}

#[derive(Serialize, Deserialize)]
struct Document<'a> {
    format: u32,
    /// Of which revision of a credential.
    of: String,
    era: Era,
    version: String,
    #[serde(borrow)]
    hello: &'a RawValue,
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
    #[serde(borrow)]
    prompts: Vec<&'a RawValue>,
    #[serde(borrow)]
    resources: Vec<&'a RawValue>,
    #[serde(borrow)]
    templates: Vec<&'a RawValue>,
}

const FORMAT: u32 = 2;

impl KeptItem {
    /// Reads one item; `None` where it has no name, or is a tool that a modern client must not be shown.
    pub(crate) fn read(kind: ItemKind, raw: &str) -> Option<Self> {
        let key = match kind {
            ItemKind::Tool | ItemKind::Prompt => "name",
            ItemKind::Resource => "uri",
            ItemKind::Template => "uriTemplate",
        };
        let members = Members::read(raw)?;
        let value = members.get(key)?;
        let params = match kind {
            ItemKind::Tool => header_params(members.get("inputSchema"))?,
            _ => Vec::new(),
        };
        Some(Self {
            name: text(value)?.into_owned(),
            raw: Bytes::copy_from_slice(raw.as_bytes()),
            name_span: span_of(raw.as_bytes(), value),
            params,
            hints: match kind {
                ItemKind::Tool => hints(members.get("annotations")),
                _ => Hints::default(),
            },
        })
    }
}

impl KeptItem {
    /// Whether a tool says how its results look.
    pub(crate) fn has_output_schema(&self) -> bool {
        let raw = std::str::from_utf8(&self.raw).ok();
        let members = raw.and_then(Members::read).unwrap_or_default();
        members.get("outputSchema").is_some()
    }
}

/// What the annotations of a tool say; one that is not as the protocol has it, says nothing.
fn hints(annotations: Option<&str>) -> Hints {
    let members = annotations.and_then(Members::read).unwrap_or_default();
    let read = |name, otherwise| match members.get(name) {
        Some("true") => true,
        Some("false") => false,
        _ => otherwise,
    };
    let unsaid = Hints::default();
    Hints {
        read_only: read("readOnlyHint", unsaid.read_only),
        destructive: read("destructiveHint", unsaid.destructive),
        idempotent: read("idempotentHint", unsaid.idempotent),
        open_world: read("openWorldHint", unsaid.open_world),
    }
}

impl Kept {
    pub(crate) fn new(hello: Hello) -> Self {
        Self {
            era: hello.era,
            version: hello.version,
            hello: hello.result,
            tools: Vec::new(),
            prompts: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
        }
    }

    /// The items of one list.
    pub(crate) fn items(&self, kind: ItemKind) -> &[KeptItem] {
        match kind {
            ItemKind::Tool => &self.tools,
            ItemKind::Prompt => &self.prompts,
            ItemKind::Resource => &self.resources,
            ItemKind::Template => &self.templates,
        }
    }

    /// One list, to be filled.
    pub(crate) fn items_mut(&mut self, kind: ItemKind) -> &mut Vec<KeptItem> {
        match kind {
            ItemKind::Tool => &mut self.tools,
            ItemKind::Prompt => &mut self.prompts,
            ItemKind::Resource => &mut self.resources,
            ItemKind::Template => &mut self.templates,
        }
    }

    /// The arguments of a tool that are repeated in headers, where it has any.
    pub(crate) fn header_params(&self, tool: &str) -> Option<&[HeaderParam]> {
        let annotated = self.tools.iter().filter(|item| !item.params.is_empty());
        annotated
            .into_iter()
            .find(|item| item.name == tool)
            .map(|item| &item.params[..])
    }

    /// Whether any tool wants arguments repeated in headers.
    pub(crate) fn annotates(&self) -> bool {
        self.tools.iter().any(|tool| !tool.params.is_empty())
    }

    /// What the server said of itself, by member.
    pub(crate) fn hello(&self) -> Members<'_> {
        std::str::from_utf8(&self.hello)
            .ok()
            .and_then(Members::read)
            .unwrap_or_default()
    }

    /// What the server said of itself, as it came.
    pub(crate) fn said(&self) -> Hello {
        Hello {
            era: self.era,
            version: self.version.clone(),
            result: self.hello.clone(),
        }
    }

    /// Which lists differ.
    pub(crate) fn changed_since(&self, before: Option<&Self>) -> Changed {
        let Some(before) = before else {
            return Changed {
                tools: !self.tools.is_empty(),
                prompts: !self.prompts.is_empty(),
                resources: !self.resources.is_empty() || !self.templates.is_empty(),
            };
        };
        Changed {
            tools: self.tools != before.tools,
            prompts: self.prompts != before.prompts,
            resources: self.resources != before.resources || self.templates != before.templates,
        }
    }

    /// The document that is stored; `of` tells of which revision it is.
    pub(crate) fn write(&self, of: &str) -> Bytes {
        let raws = |kind| {
            self.items(kind)
                .iter()
                .filter_map(|item| serde_json::from_slice(&item.raw).ok())
                .collect()
        };
        let empty = RawValue::NULL;
        let document = Document {
            format: FORMAT,
            of: of.to_owned(),
            era: self.era,
            version: self.version.clone(),
            hello: serde_json::from_slice(&self.hello).unwrap_or(empty),
            tools: raws(ItemKind::Tool),
            prompts: raws(ItemKind::Prompt),
            resources: raws(ItemKind::Resource),
            templates: raws(ItemKind::Template),
        };
        serde_json::to_vec(&document).unwrap_or_default().into()
    }

    /// Reads a stored document; `None` where it is of another make or another revision.
    pub(crate) fn read(document: &Bytes, of: &str) -> Option<Self> {
        let document: Document<'_> = serde_json::from_slice(document).ok()?;
        if document.format != FORMAT || document.of != of {
            return None;
        }
        let hello = Bytes::copy_from_slice(document.hello.get().as_bytes());
        let mut kept = Self::new(Hello {
            era: document.era,
            version: document.version,
            result: hello,
        });
        let lists = [
            (ItemKind::Tool, document.tools),
            (ItemKind::Prompt, document.prompts),
            (ItemKind::Resource, document.resources),
            (ItemKind::Template, document.templates),
        ];
        for (kind, raws) in lists {
            *kept.items_mut(kind) = raws
                .iter()
                .filter_map(|raw| KeptItem::read(kind, raw.get()))
                .collect();
        }
        Some(kept)
    }
}

/// The arguments that are repeated in headers; `None` where an annotation is invalid, so that the tool must not be
/// shown (SEP-2243).
fn header_params(schema: Option<&str>) -> Option<Vec<HeaderParam>> {
    let Some(schema) = schema.filter(|schema| schema.contains("x-mcp-header")) else {
        return Some(Vec::new());
    };
    let schema: serde_json::Value = serde_json::from_str(schema).ok()?;
    let mut found = Vec::new();
    properties(&schema, &mut Vec::new(), &mut found)?;
    let total = count(&schema);
    let mut names: Vec<_> = found
        .iter()
        .map(|param| param.header.to_ascii_lowercase())
        .collect();
    names.sort();
    names.dedup();
    // An annotation elsewhere than on a property, or a name that stands twice, is invalid.
    (total == found.len() && names.len() == found.len()).then_some(found)
}

fn properties(
    schema: &serde_json::Value,
    path: &mut Vec<String>,
    found: &mut Vec<HeaderParam>,
) -> Option<()> {
    let Some(properties_of) = schema
        .get("properties")
        .and_then(serde_json::Value::as_object)
    else {
        return Some(());
    };
    for (name, property) in properties_of {
        path.push(name.clone());
        if let Some(header) = property.get("x-mcp-header") {
            let header = header.as_str().filter(|header| is_token(header))?;
            let kind = property.get("type").and_then(serde_json::Value::as_str)?;
            if !matches!(kind, "string" | "integer" | "boolean") {
                return None;
            }
            found.push(HeaderParam {
                path: path.clone(),
                header: header.to_owned(),
            });
        }
        properties(property, path, found)?;
        path.pop();
    }
    Some(())
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

fn count(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Object(members) => {
            // A property may itself be called so; then its value is a schema, not a name.
            let own = members
                .get("x-mcp-header")
                .is_some_and(|value| !value.is_object());
            usize::from(own) + members.values().map(count).sum::<usize>()
        }
        serde_json::Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(properties: &str) -> Option<KeptItem> {
        KeptItem::read(
            ItemKind::Tool,
            &format!(r#"{{"name":"t","inputSchema":{{"properties":{properties}}}}}"#),
        )
    }

    #[test]
    fn header_annotations_are_checked() {
        let nested = r#"{"a":{"type":"string","x-mcp-header":"A"},"o":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}"#;
        let params = tool(nested).unwrap().params;
        assert_eq!(params.len(), 2);
        assert_eq!(params[1].path, ["o", "n"]);
        for wrong in [
            r#"{"a":{"type":"string","x-mcp-header":""}}"#,
            r#"{"a":{"type":"string","x-mcp-header":"a b"}}"#,
            r#"{"a":{"type":"string","x-mcp-header":7}}"#,
            r#"{"a":{"type":"object","x-mcp-header":"A"}}"#,
            r#"{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}"#,
            r#"{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}"#,
        ] {
            assert!(tool(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn lists_are_read_as_they_were_written() {
        let hello = Hello {
            era: Era::Legacy,
            version: "2025-11-25".into(),
            result: Bytes::from_static(b"{\"x\":1e400}"),
        };
        let mut kept = Kept::new(hello);
        let raw = r#"{ "z":1, "name":"a\/b", "big":123456789012345678901234567890 }"#;
        kept.items_mut(ItemKind::Tool)
            .push(KeptItem::read(ItemKind::Tool, raw).unwrap());
        let back = Kept::read(&kept.write("1"), "1").unwrap();
        assert_eq!(back, kept);
        assert_eq!(back.items(ItemKind::Tool)[0].name, "a/b");
        assert!(!back.changed_since(Some(&kept)).any());
        assert_eq!(Kept::read(&kept.write("1"), "2"), None);
        assert!(back.changed_since(None).tools);
    }
}
