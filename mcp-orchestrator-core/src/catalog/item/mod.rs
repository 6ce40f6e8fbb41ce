//! One item of a server's list, as clients accept it.

mod check;
mod definition;
mod header;
mod hidden_arguments;
mod object;
mod refusal;
mod schema;
mod text;
mod ui;

use std::fmt;

use bytes::Bytes;

pub(crate) use self::header::HeaderParam;
pub(crate) use self::hidden_arguments::Leftover;
use self::object::Keep;
pub(crate) use self::refusal::Refusal;
use crate::jsonrpc::{Members, Span, span_of, text as decoded};
use crate::limits::{MAX_ITEM_BYTES, MAX_ITEM_DEPTH, MAX_NAME_LEN, MAX_URI_LEN};
use crate::protocol::Era;
use crate::router::{Hints, ItemKind, check_template};

/// One item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptItem {
    /// Its own name or URI.
    pub(crate) name: String,
    /// The item as received, without the members that would make clients reject the list.
    pub(crate) raw: Bytes,
    /// The span of its name, a JSON string.
    pub(crate) name_span: Span,
    /// Arguments that a modern client repeats in headers.
    pub(crate) params: Vec<HeaderParam>,
    /// The hints in a tool's annotations.
    pub(crate) hints: Hints,
    /// The resources that a tool names as its user interface.
    pub(crate) ui: Vec<String>,
    /// The item for legacy clients if it differs, with the span of its name.
    legacy: Option<(Bytes, Span)>,
    /// `false` if the item must not appear in a list of several servers: its URI is not valid, and some clients reject
    /// the list for that.
    pub(crate) mixes: bool,
}

/// An item, and the members that were removed because clients would reject them.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) item: KeptItem,
    pub(crate) removed: Vec<String>,
}

impl KeptItem {
    /// Reads one item and reduces it to what clients accept.
    ///
    /// # Errors
    /// The reason why the item must be left out.
    pub(crate) fn read(kind: ItemKind, raw: &str) -> Result<Read, Refusal> {
        if raw.len() > MAX_ITEM_BYTES {
            return Err(Refusal::TooLarge);
        }
        if text::depth(raw) > MAX_ITEM_DEPTH {
            return Err(Refusal::TooDeep);
        }
        let whole = text::without_lone_surrogates(raw);
        let (raw, removed) = check::check(kind, &whole)?;
        let members = object::members(&raw)?;
        let key = key_of(kind);
        let value = members.get(key).ok_or(Refusal::Missing(key))?;
        let name = decoded(value)
            .filter(|name| !name.is_empty())
            .ok_or(Refusal::Missing(key))?
            .into_owned();
        let needs_name = matches!(kind, ItemKind::Resource | ItemKind::Template);
        if needs_name && !members.get("name").is_some_and(object::is_text) {
            return Err(Refusal::Missing("name"));
        }
        check_key(kind, &name)?;
        let schema = members.get("inputSchema");
        let params = match kind {
            ItemKind::Tool if schema.is_none() => return Err(Refusal::Missing("inputSchema")),
            ItemKind::Tool => header::header_params(schema).ok_or(Refusal::Header)?,
            _ => Vec::new(),
        };
        let item = Self {
            mixes: kind != ItemKind::Resource || is_uri(&name),
            legacy: legacy(&members, &raw)?,
            name,
            raw: Bytes::copy_from_slice(raw.as_bytes()),
            name_span: span_of(raw.as_bytes(), value),
            params,
            hints: match kind {
                ItemKind::Tool => hints(members.get("annotations")),
                _ => Hints::default(),
            },
            ui: match kind {
                ItemKind::Tool => ui::uris(members.get("_meta")),
                _ => Vec::new(),
            },
        };
        Ok(Read { item, removed })
    }

    /// Returns `true` if a tool declares an output schema.
    pub(crate) fn has_output_schema(&self) -> bool {
        self.members().get("outputSchema").is_some()
    }

    /// Returns the item for a client of this era, with the span of its name.
    pub(crate) fn shown(&self, era: Era) -> (&Bytes, &Span) {
        match &self.legacy {
            Some((raw, name)) if era == Era::Legacy => (raw, name),
            _ => (&self.raw, &self.name_span),
        }
    }

    /// Returns the spans in [`shown`](Self::shown) of the addresses of a tool's user interface, with the addresses.
    pub(crate) fn ui_spans(&self, era: Era) -> Vec<(Span, String)> {
        let (raw, _) = self.shown(era);
        let members = std::str::from_utf8(raw).ok().and_then(Members::read);
        let meta = members.and_then(|members| members.get("_meta").and_then(Members::read));
        let Some(meta) = meta else {
            return Vec::new();
        };
        let found = ui::values(&meta);
        let mut found: Vec<_> = found
            .filter_map(|value| Some((span_of(raw, value), decoded(value)?.into_owned())))
            .collect();
        found.sort_by_key(|(span, _)| span.start);
        found
    }

    fn members(&self) -> Members<'_> {
        let raw = std::str::from_utf8(&self.raw).ok();
        raw.and_then(Members::read).unwrap_or_default()
    }

    /// Returns the approximate memory use in bytes.
    pub(crate) fn cost(&self) -> usize {
        let legacy = self.legacy.as_ref().map_or(0, |(raw, _)| raw.len());
        let ui: usize = self.ui.iter().map(String::len).sum();
        legacy + self.raw.len() + self.name.len() + ui + size_of::<Self>()
    }
}

/// Returns a tool without its output schema if that does not describe an object: legacy clients reject the whole list
/// for it.
fn legacy(members: &Members<'_>, raw: &str) -> Result<Option<(Bytes, Span)>, Refusal> {
    let Some(output) = members.get("outputSchema") else {
        return Ok(None);
    };
    let checked = schema::object_schema(output, &mut Vec::new());
    if matches!(checked, Ok(Keep::AsIs)) {
        return Ok(None);
    }
    let without = object::mend(raw, &mut Vec::new(), |key, _, _| {
        Ok(if key == "outputSchema" {
            Keep::Absent
        } else {
            Keep::AsIs
        })
    })?;
    let name = object::members(&without)?;
    let name = name.get("name").ok_or(Refusal::Missing("name"))?;
    let span = span_of(without.as_bytes(), name);
    Ok(Some((Bytes::copy_from_slice(without.as_bytes()), span)))
}

/// Returns the member that identifies an item in requests.
const fn key_of(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Tool | ItemKind::Prompt => "name",
        ItemKind::Resource => "uri",
        ItemKind::Template => "uriTemplate",
    }
}

fn check_key(kind: ItemKind, name: &str) -> Result<(), Refusal> {
    let most = match kind {
        ItemKind::Tool | ItemKind::Prompt => MAX_NAME_LEN,
        ItemKind::Resource => MAX_URI_LEN,
        ItemKind::Template => return check_template(name).map_err(Refusal::Template),
    };
    if name.len() > most {
        return Err(Refusal::TooLong(key_of(kind), most));
    }
    Ok(())
}

/// Returns `true` if a text begins like a URI. Some clients check this, others accept anything.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let named = scheme.starts_with(|one: char| one.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|one| one.is_ascii_alphanumeric() || b"+-.".contains(&one));
    let of_host = ["http", "https", "ws", "wss", "ftp"];
    let has_host = || !rest.trim_start_matches('/').is_empty();
    named && (!of_host.contains(&scheme.to_ascii_lowercase().as_str()) || has_host())
}

/// Reads the hints of a tool. Invalid values count as missing.
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

/// The items of one result that were left out or changed, for one line of the log.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    first: Vec<String>,
    more: usize,
}

impl Reports {
    /// Maximum number of reports that are listed individually.
    const MAX_LISTED_REPORTS: usize = 5;

    /// Reports an item that was left out or lost a member.
    pub(crate) fn add(&mut self, what: impl FnOnce() -> String) {
        if self.first.len() < Self::MAX_LISTED_REPORTS {
            self.first.push(what());
        } else {
            self.more += 1;
        }
    }

    /// Returns `true` if there is nothing to report.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

impl fmt::Display for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first.join("; "))?;
        if self.more > 0 {
            write!(f, "; and {} more", self.more)?;
        }
        Ok(())
    }
}

/// Returns a label for an item in a report: its name, truncated.
pub(crate) fn label(kind: ItemKind, raw: &str) -> String {
    const SHOWN: usize = 60;
    if raw.len() > MAX_ITEM_BYTES {
        return "an item".to_owned();
    }
    let members = Members::read(raw).unwrap_or_default();
    let name = members
        .get(key_of(kind))
        .and_then(decoded)
        .unwrap_or_default();
    match name.len() {
        0 => "an item".to_owned(),
        1..=SHOWN => format!("{name:?}"),
        _ => format!("{:?}…", &name[..name.floor_char_boundary(SHOWN)]),
    }
}

#[cfg(test)]
mod tests;
