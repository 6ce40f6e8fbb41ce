//! The cached lists of one server, and its description of itself.

use std::hash::{BuildHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::collector::Intake;
use super::item::{HeaderParam, KeptItem};
use super::{Changed, ItemKinds};
use crate::jsonrpc::Members;
use crate::protocol::{Era, meta};
use crate::router::ItemKind;
use crate::transport::Hello;

/// Cached lists of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) era: Era,
    pub(crate) version: String,
    /// The result of initialize or server/discover.
    pub(crate) hello: Bytes,
    /// In the order of [`ItemKind::ALL`].
    lists: [List; ItemKind::ALL.len()],
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct List {
    items: Vec<KeptItem>,
    state: ListState,
    /// How long the server allows the list to be cached, in milliseconds; `None`: it does not say.
    ttl_ms: Option<u64>,
}

/// State of a cached list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListState {
    /// Not received yet.
    #[default]
    Awaited,
    /// Complete; possibly empty because the server offers none.
    Whole,
    /// The server does not have the method, even if it declares it.
    Lacking,
    /// Missing or incomplete; has to be fetched again.
    Failed,
}

#[derive(Serialize, Deserialize)]
struct Document<'a> {
    format: u32,
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
    /// Indexes in [`ItemKind::ALL`] of the lists that were not received.
    #[serde(default)]
    failed: Vec<usize>,
    /// Indexes of the lists that the server does not have.
    #[serde(default)]
    lacking: Vec<usize>,
    /// How long the server allows each list to be cached.
    #[serde(default)]
    ttl_ms: Vec<Option<u64>>,
}

const FORMAT: u32 = 3;

impl Kept {
    pub(crate) fn new(hello: Hello) -> Self {
        Self {
            era: hello.era,
            version: hello.version,
            hello: hello.result,
            lists: Default::default(),
        }
    }

    /// Returns the items of a list.
    pub(crate) fn items(&self, kind: ItemKind) -> &[KeptItem] {
        &self.lists[kind as usize].items
    }

    /// Replaces a list.
    pub(crate) fn set(&mut self, kind: ItemKind, items: Vec<KeptItem>, state: ListState) {
        self.lists[kind as usize] = List {
            items,
            state,
            ttl_ms: None,
        };
    }

    /// Sets how long the server allows a list to be cached, in milliseconds.
    pub(crate) fn set_ttl_ms(&mut self, kind: ItemKind, ttl_ms: Option<u64>) {
        self.lists[kind as usize].ttl_ms = ttl_ms;
    }

    /// Returns how long clients may cache a list, in milliseconds. An incomplete one must not be cached.
    pub(crate) fn ttl_ms(&self, kind: ItemKind) -> u64 {
        if !self.has(&[kind]) {
            return 0;
        }
        self.lists[kind as usize].ttl_ms.unwrap_or(u64::MAX)
    }

    /// Returns the state of a list.
    pub(crate) fn state(&self, kind: ItemKind) -> ListState {
        self.lists[kind as usize].state
    }

    /// Returns `true` if all of these lists are final: complete, or known not to exist.
    pub(crate) fn has(&self, kinds: ItemKinds<'_>) -> bool {
        kinds
            .iter()
            .all(|kind| matches!(self.state(*kind), ListState::Whole | ListState::Lacking))
    }

    /// Returns `true` if at least one of these lists has not been received yet.
    pub(crate) fn awaits(&self, kinds: ItemKinds<'_>) -> bool {
        kinds
            .iter()
            .any(|kind| self.state(*kind) == ListState::Awaited)
    }

    /// Returns `true` if the server declares lists of this kind.
    pub(crate) fn declares(&self, kind: ItemKind) -> bool {
        let name = match kind {
            ItemKind::Tool => "tools",
            ItemKind::Prompt => "prompts",
            ItemKind::Resource | ItemKind::Template => "resources",
        };
        let hello = self.hello();
        let capabilities = hello.get("capabilities").and_then(Members::read);
        let declared = capabilities.unwrap_or_default().get(name);
        declared.is_some_and(|declared| !matches!(declared, "null" | "false"))
    }

    /// Returns `true` if the server declares skills (SEP-2640).
    pub(crate) fn has_skills(&self) -> bool {
        let capabilities = self.hello().get("capabilities").and_then(Members::read);
        let extensions = capabilities.and_then(|all| all.get("extensions").and_then(Members::read));
        extensions.is_some_and(|all| all.get(meta::SKILLS_EXTENSION).is_some())
    }

    /// Returns `true` if the server has, or may have, lists of this kind, declared or not.
    pub(crate) fn offers(&self, kind: ItemKind) -> bool {
        let state = self.state(kind);
        (self.declares(kind) && state != ListState::Lacking)
            || !self.items(kind).is_empty()
            || state == ListState::Awaited
    }

    /// Returns a hash of all lists. Reads every byte.
    pub(crate) fn hash(&self, hasher: &impl BuildHasher) -> u64 {
        let mut hash = hasher.build_hasher();
        self.hello.hash(&mut hash);
        for item in self.lists.iter().flat_map(|list| &list.items) {
            item.raw.hash(&mut hash);
        }
        for list in &self.lists {
            list.ttl_ms.hash(&mut hash);
        }
        hash.finish()
    }

    /// Returns the approximate memory usage in bytes.
    pub(crate) fn cost(&self) -> usize {
        let items = self.lists.iter().flat_map(|list| &list.items);
        self.hello.len() + items.map(KeptItem::cost).sum::<usize>()
    }

    /// Returns the arguments of a tool that must be repeated in headers; `None` if it has none.
    pub(crate) fn header_params(&self, tool: &str) -> Option<&[HeaderParam]> {
        let annotated = self
            .items(ItemKind::Tool)
            .iter()
            .filter(|item| !item.params.is_empty());
        annotated
            .into_iter()
            .find(|item| item.name == tool)
            .map(|item| &item.params[..])
    }

    /// Returns `true` if any tool has arguments that must be repeated in headers.
    pub(crate) fn annotates(&self) -> bool {
        let mut tools = self.items(ItemKind::Tool).iter();
        tools.any(|tool| !tool.params.is_empty())
    }

    /// Returns the server's description of itself, by member.
    pub(crate) fn hello(&self) -> Members<'_> {
        std::str::from_utf8(&self.hello)
            .ok()
            .and_then(Members::read)
            .unwrap_or_default()
    }

    /// Returns the server's description of itself.
    pub(crate) fn said(&self) -> Hello {
        Hello {
            era: self.era,
            version: self.version.clone(),
            result: self.hello.clone(),
        }
    }

    /// Returns which lists differ from an earlier version.
    pub(crate) fn changed_since(&self, before: Option<&Self>) -> Changed {
        let differs = |kind| {
            let before = before.map_or(&[][..], |before| before.items(kind));
            self.items(kind) != before
        };
        Changed {
            tools: differs(ItemKind::Tool),
            prompts: differs(ItemKind::Prompt),
            resources: differs(ItemKind::Resource) || differs(ItemKind::Template),
        }
    }

    /// Serializes the lists for the state store.
    pub(crate) fn write(&self) -> Bytes {
        let raws = |kind| {
            self.items(kind)
                .iter()
                .filter_map(|item| serde_json::from_slice(&item.raw).ok())
                .collect()
        };
        let empty = RawValue::NULL;
        let places = |is_one: fn(ListState) -> bool| {
            let lists = self.lists.iter().enumerate();
            let found = lists.filter(|(_, list)| is_one(list.state));
            found.map(|(at, _)| at).collect()
        };
        let document = Document {
            format: FORMAT,
            era: self.era,
            version: self.version.clone(),
            hello: serde_json::from_slice(&self.hello).unwrap_or(empty),
            tools: raws(ItemKind::Tool),
            prompts: raws(ItemKind::Prompt),
            resources: raws(ItemKind::Resource),
            templates: raws(ItemKind::Template),
            failed: places(|state| matches!(state, ListState::Awaited | ListState::Failed)),
            lacking: places(|state| state == ListState::Lacking),
            ttl_ms: self.lists.iter().map(|list| list.ttl_ms).collect(),
        };
        serde_json::to_vec(&document).unwrap_or_default().into()
    }

    /// Parses a stored document; `None` if it has another format.
    pub(crate) fn read(document: &Bytes) -> Option<Self> {
        let document: Document<'_> = serde_json::from_slice(document).ok()?;
        if document.format != FORMAT {
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
            // The limits may have changed since the document was stored.
            let mut intake = Intake::new(kind);
            raws.iter().all(|raw| intake.add(raw.get()));
            let state = if document.failed.contains(&(kind as usize)) {
                ListState::Failed
            } else if document.lacking.contains(&(kind as usize)) {
                ListState::Lacking
            } else {
                ListState::Whole
            };
            kept.set(kind, intake.finish().0, state);
            let ttl_ms = document.ttl_ms.get(kind as usize).copied();
            kept.set_ttl_ms(kind, ttl_ms.flatten());
        }
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_they_were_written() {
        let hello = Hello {
            era: Era::Legacy,
            version: "2025-11-25".into(),
            result: Bytes::from_static(b"{\"x\":1e400}"),
        };
        let mut kept = Kept::new(hello);
        let raw = r#"{ "z":1, "name":"a\/b", "big":123456789012345678901234567890, "inputSchema":{"type":"object"} }"#;
        let tool = KeptItem::read(ItemKind::Tool, raw).unwrap().item;
        kept.set(ItemKind::Tool, vec![tool], ListState::Whole);
        kept.set_ttl_ms(ItemKind::Tool, Some(700));
        kept.set(ItemKind::Prompt, Vec::new(), ListState::Failed);
        kept.set(ItemKind::Resource, Vec::new(), ListState::Whole);
        kept.set(ItemKind::Template, Vec::new(), ListState::Lacking);
        let back = Kept::read(&kept.write()).unwrap();
        assert_eq!(back, kept);
        assert_eq!(back.items(ItemKind::Tool)[0].name, "a/b");
        let ttls = ItemKind::ALL.map(|kind| back.ttl_ms(kind));
        assert_eq!(ttls, [700, 0, u64::MAX, u64::MAX]);
        assert!(!back.changed_since(Some(&kept)).any());
        assert!(back.changed_since(None).tools);
    }

    #[test]
    fn stored_values_are_checked_against_newer_limits() {
        let bad = format!(
            r#"{{"uriTemplate":"{}","name":"bad"}}"#,
            "{+a}".repeat(100_000)
        );
        let document = format!(
            r#"{{"format":3,"era":"legacy","version":"x","hello":{{}},"prompts":[],"resources":[],
                "tools":[{{"name":"none"}}],"templates":[{bad},{{"uriTemplate":"x://{{a}}","name":"good"}}]}}"#
        );
        let document =
            document.replace("\"legacy\"", &serde_json::to_string(&Era::Legacy).unwrap());
        let kept = Kept::read(&document.into()).unwrap();
        assert!(kept.items(ItemKind::Tool).is_empty());
        let templates = kept.items(ItemKind::Template);
        assert_eq!((templates.len(), &templates[0].name[..]), (1, "x://{a}"));
    }
}
