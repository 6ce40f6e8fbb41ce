//! Collects the pages of one list within its limits: each name once, and only items that clients accept.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::item::{KeptItem, Read, Refusal, Reports, label};
use crate::limits::{MAX_CURSOR_LEN, MAX_LIST_BYTES, MAX_LIST_ITEMS};
use crate::router::ItemKind;

/// A list that is being collected.
#[derive(Debug)]
pub(crate) struct Intake {
    kind: ItemKind,
    items: Vec<KeptItem>,
    names: HashSet<String>,
    bytes: usize,
    /// Number of items that the server sent, including those left out.
    offered: usize,
    /// The shortest time for which a page may be cached, in milliseconds.
    ttl_ms: Option<u64>,
    reports: Reports,
}

/// What a page says about the next one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This is the last page.
    End,
    /// The cursor of the next page, as JSON.
    Cursor(String),
    /// Collection stops here, for this reason.
    Cut(&'static str),
}

impl Intake {
    pub(crate) fn new(kind: ItemKind) -> Self {
        Self {
            kind,
            items: Vec::new(),
            names: HashSet::new(),
            bytes: 0,
            offered: 0,
            ttl_ms: None,
            reports: Reports::default(),
        }
    }

    /// Returns the number of items collected.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns how long the list may be cached, in milliseconds, if the server says so.
    pub(crate) fn ttl_ms(&self) -> Option<u64> {
        self.ttl_ms
    }

    /// Returns the items, and reports of what was left out.
    pub(crate) fn finish(self) -> (Vec<KeptItem>, Reports) {
        (self.items, self.reports)
    }

    /// Collects the items of a list result.
    ///
    /// # Errors
    /// An error if the result has no such list.
    pub(crate) fn page(&mut self, result: &str) -> Result<Next, &'static str> {
        let head = Head::read(result, list_name(self.kind)).ok_or("the result is no object")?;
        let list = head.list.ok_or("the result has no list")?.get();
        let ttl_ms = head.ttl_ms.map(|raw| -> u64 {
            // A text, a negative number or one with an exponent allows no caching.
            let whole = raw.get().split('.').next().unwrap_or_default();
            whole.parse().unwrap_or(0)
        });
        self.ttl_ms = match (self.ttl_ms, ttl_ms) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        // Some languages serialize an empty list as `null`.
        let mut next = head.next();
        if list != "null" {
            let mut deserializer = serde_json::Deserializer::from_str(list);
            let read = (&mut deserializer).deserialize_seq(Items(self));
            if !read.map_err(|_| "the list in the result is none")? {
                next = Next::Cut("it has more items, or larger ones, than are kept");
            }
        }
        Ok(next)
    }

    /// Collects one item. Returns `false` if the list is full.
    pub(crate) fn add(&mut self, raw: &str) -> bool {
        if self.offered == MAX_LIST_ITEMS {
            return false;
        }
        self.offered += 1;
        let read = KeptItem::read(self.kind, raw);
        let read = read.and_then(|read| {
            let again = self.names.contains(&read.item.name);
            if again { Err(Refusal::Again) } else { Ok(read) }
        });
        let kind = self.kind;
        match read {
            // Servers with overlapping pages repeat many items; nothing is lost.
            Err(Refusal::Again) => {}
            Err(refusal) => {
                self.reports
                    .add(|| format!("{} is left out: {refusal}", label(kind, raw)));
            }
            Ok(Read { item, removed }) => {
                if self.bytes + item.cost() > MAX_LIST_BYTES {
                    return false;
                }
                if !removed.is_empty() {
                    let removed = removed.join(", ");
                    self.reports
                        .add(|| format!("{} is shown without its {removed}", label(kind, raw)));
                }
                self.bytes += item.cost();
                self.names.insert(item.name.clone());
                self.items.push(item);
            }
        }
        true
    }
}

/// Returns the member of a result that holds the list.
pub(crate) const fn list_name(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Tool => "tools",
        ItemKind::Prompt => "prompts",
        ItemKind::Resource => "resources",
        ItemKind::Template => "resourceTemplates",
    }
}

/// Passes each item of a list to the intake. Yields `false` if there was not enough room.
struct Items<'i>(&'i mut Intake);

impl<'de> Visitor<'de> for Items<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            if !self.0.add(item.get()) {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The members of a result that are read; all others are skipped.
#[derive(Debug, Default)]
struct Head<'a> {
    list: Option<&'a RawValue>,
    cursor: Option<&'a RawValue>,
    ttl_ms: Option<&'a RawValue>,
}

impl<'a> Head<'a> {
    fn read(result: &'a str, list: &'static str) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(result);
        HeadOf(list).deserialize(&mut deserializer).ok()
    }

    /// Returns the next page. Most cursors are strings; a number is passed back unchanged.
    fn next(&self) -> Next {
        match self.cursor.map(RawValue::get) {
            None | Some("null") => Next::End,
            Some(cursor) if cursor.len() > MAX_CURSOR_LEN => {
                Next::Cut("its cursor is longer than is taken")
            }
            Some(cursor)
                if cursor
                    .starts_with(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) =>
            {
                Next::Cursor(cursor.to_owned())
            }
            Some(_) => Next::Cut("its cursor is neither a text nor a number"),
        }
    }
}

struct HeadOf(&'static str);

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for HeadOf {
    type Value = Head<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Head<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeadOf {
    type Value = Head<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head<'de>, A::Error> {
        let mut head = Head::default();
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            if key == self.0 {
                head.list = Some(map.next_value()?);
            } else if key == "nextCursor" {
                head.cursor = Some(map.next_value()?);
            } else if key == "ttlMs" {
                head.ttl_ms = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str) -> String {
        format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#)
    }

    fn names(intake: Intake) -> Vec<String> {
        let items = intake.finish().0.into_iter();
        items.map(|item| item.name).collect()
    }

    #[test]
    fn invalid_and_duplicate_items_are_dropped_and_reported() {
        let mut intake = Intake::new(ItemKind::Tool);
        let page = format!(
            r#"{{"x":[1],"tools":[{},1,null,{{"name":"bad"}},{},{}]}}"#,
            tool("a"),
            tool("a"),
            tool("b")
        );
        assert_eq!(intake.page(&page), Ok(Next::End));
        let (items, reports) = intake.finish();
        assert_eq!(items.len(), 2);
        let text = reports.to_string();
        assert!(
            text.contains("\"bad\" is left out: it has no inputSchema"),
            "{text}"
        );
    }

    #[test]
    fn cursors_are_passed_back_verbatim() {
        for (cursor, next) in [
            (r#""a\u0062""#, Next::Cursor(r#""a\u0062""#.into())),
            (r#""""#, Next::Cursor(r#""""#.into())),
            ("2", Next::Cursor("2".into())),
            ("null", Next::End),
        ] {
            let mut intake = Intake::new(ItemKind::Prompt);
            let page = format!(r#"{{"nextCursor":{cursor},"prompts":[{{"name":"p"}}]}}"#);
            assert_eq!(intake.page(&page), Ok(next));
            assert_eq!(names(intake), ["p"]);
        }
        for cursor in ["{}", "true", &format!("\"{}\"", "x".repeat(MAX_CURSOR_LEN))] {
            let mut intake = Intake::new(ItemKind::Prompt);
            let page = format!(r#"{{"prompts":[{{"name":"p"}}],"nextCursor":{cursor}}}"#);
            assert!(matches!(intake.page(&page), Ok(Next::Cut(_))), "{cursor}");
            assert_eq!(names(intake), ["p"]);
        }
    }

    #[test]
    fn list_may_be_cached_as_long_as_its_shortest_page() {
        for (pages, ttl_ms) in [
            (&[""][..], None),
            (&[r#","ttlMs":700"#], Some(700)),
            (&[r#","ttlMs":700"#, r#","ttlMs":90.5"#, ""], Some(90)),
            (&["", r#","ttlMs":0"#], Some(0)),
            (&[r#","ttlMs":-1"#], Some(0)),
            (&[r#","ttlMs":"700""#], Some(0)),
            (&[r#","ttlMs":null"#], Some(0)),
        ] {
            let mut intake = Intake::new(ItemKind::Tool);
            for page in pages {
                intake.page(&format!(r#"{{"tools":[]{page}}}"#)).unwrap();
            }
            assert_eq!(intake.ttl_ms(), ttl_ms, "{pages:?}");
        }
    }

    #[test]
    fn missing_list_is_an_error_and_null_is_an_empty_list() {
        for wrong in [
            "{}",
            "[]",
            "7",
            r#"{"tools":{}}"#,
            r#"{"tools":"x"}"#,
            r#"{"prompts":[]}"#,
        ] {
            assert!(Intake::new(ItemKind::Tool).page(wrong).is_err(), "{wrong}");
        }
        let null = Intake::new(ItemKind::Tool).page(r#"{"tools":null}"#);
        assert_eq!(null, Ok(Next::End));
    }

    #[test]
    fn a_list_is_bounded_in_items_and_bytes() {
        let mut intake = Intake::new(ItemKind::Tool);
        let many: Vec<String> = (0..=MAX_LIST_ITEMS).map(|n| tool(&n.to_string())).collect();
        let page = format!(r#"{{"tools":[{}],"nextCursor":"x"}}"#, many.join(","));
        assert!(matches!(intake.page(&page), Ok(Next::Cut(_))));
        assert_eq!(intake.len(), MAX_LIST_ITEMS);
        let mut intake = Intake::new(ItemKind::Tool);
        let pad = "x".repeat(900 * 1024);
        let mut taken = 0;
        while intake.add(&tool("n").replace("\"n\"", &format!("\"n{taken}\",\"x\":\"{pad}\""))) {
            taken += 1;
        }
        assert!((16..20).contains(&taken), "{taken}");
        let mut intake = Intake::new(ItemKind::Tool);
        let junk = format!(r#"{{"tools":[{}1]}}"#, "1,".repeat(2 * MAX_LIST_ITEMS));
        assert!(matches!(intake.page(&junk), Ok(Next::Cut(_))));
        assert_eq!(intake.offered, MAX_LIST_ITEMS);
    }
}
