//! One item of a server's list, as clients take it.

mod check;
mod header;
mod object;
mod schema;
mod text;

use std::fmt;

use bytes::Bytes;

pub(crate) use self::header::HeaderParam;
use self::object::{Keep, is_list_of};
use crate::jsonrpc::{Members, Span, span_of, text as decoded};
use crate::limits::{MAX_ITEM_BYTES, MAX_ITEM_DEPTH, MAX_NAME_LEN, MAX_URI_LEN};
use crate::protocol::Era;
use crate::router::{Hints, ItemKind, TemplateError, check_template};

/// One item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptItem {
    /// Its own name or URI.
    pub(crate) name: String,
    /// The item as it came, but for what clients would refuse the list for.
    pub(crate) raw: Bytes,
    /// Where its name stands, as a JSON string.
    pub(crate) name_span: Span,
    /// Arguments that a modern client repeats in headers.
    pub(crate) params: Vec<HeaderParam>,
    /// What the server says of a tool.
    pub(crate) hints: Hints,
    /// What legacy clients are shown, where that is another text, with the place of the name.
    legacy: Option<(Bytes, Span)>,
    /// Whether a list of several servers may have it: not where its URI is none, for which some clients refuse the list.
    pub(crate) mixes: bool,
}

/// Why an item is left out of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is something else.
    #[error("it is not an object")]
    NotAnObject,
    /// Readers do not agree on which of two counts.
    #[error("it has a member twice")]
    Twice,
    /// Clients need it.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// Callers could not ask for it.
    #[error("its {0} is longer than {1} bytes")]
    TooLong(&'static str, usize),
    /// All of it.
    #[error("it is larger than {MAX_ITEM_BYTES} bytes")]
    TooLarge,
    /// Parsers of clients give up.
    #[error("it is nested deeper than {MAX_ITEM_DEPTH} levels")]
    TooDeep,
    /// What a tool takes.
    #[error("its inputSchema is not the schema of an object")]
    Schema,
    /// What a prompt takes.
    #[error("its arguments are not a list of objects with a name")]
    Arguments,
    /// A modern client must not show such a tool.
    #[error("an x-mcp-header of it is invalid")]
    Header,
    /// Matching it would cost too much.
    #[error("it is {0}")]
    Template(TemplateError),
    /// The first one stays.
    #[error("the server lists it twice")]
    Again,
}

/// An item that was read, and what was taken away from it because clients would refuse it.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) item: KeptItem,
    pub(crate) removed: Vec<String>,
}

impl KeptItem {
    /// Reads one item as clients take it.
    ///
    /// # Errors
    /// Why it must be left out.
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
        };
        Ok(Read { item, removed })
    }

    /// Whether a tool says how its results look.
    pub(crate) fn has_output_schema(&self) -> bool {
        self.members().get("outputSchema").is_some()
    }

    /// The item as a client of this era takes it, and where its name stands in it.
    pub(crate) fn shown(&self, era: Era) -> (&Bytes, &Span) {
        match &self.legacy {
            Some((raw, name)) if era == Era::Legacy => (raw, name),
            _ => (&self.raw, &self.name_span),
        }
    }

    fn members(&self) -> Members<'_> {
        let raw = std::str::from_utf8(&self.raw).ok();
        raw.and_then(Members::read).unwrap_or_default()
    }

    /// About what it costs to keep.
    pub(crate) fn cost(&self) -> usize {
        let legacy = self.legacy.as_ref().map_or(0, |(raw, _)| raw.len());
        legacy + self.raw.len() + self.name.len() + size_of::<Self>()
    }
}

/// A tool without its output schema, where that is not an object's: legacy clients refuse the whole list for it.
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

/// The member by which an item is asked for.
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

/// Whether a text begins as a URI does; some clients check it, others take anything.
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

/// The items that one answer had and the list has not, for one line of the log.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    first: Vec<String>,
    more: usize,
}

impl Reports {
    /// How many are told one by one.
    const TOLD: usize = 5;

    /// An item was left out, or lost a member.
    pub(crate) fn add(&mut self, what: impl FnOnce() -> String) {
        if self.first.len() < Self::TOLD {
            self.first.push(what());
        } else {
            self.more += 1;
        }
    }

    /// Whether there is nothing to report.
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

/// What an item is called in a report: what stands there as its name, cut.
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
