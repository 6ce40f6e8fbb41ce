//! Finds the members of a message that routing needs, in one pass over its bytes.

use super::kind::{Kind, ParseError};
use super::scan::{Key, Scan, SyntaxError};
use super::spelling::{META, Names, PARAMS, REFERENCE, Spellings, TOP};
use super::{Span, text};
use crate::protocol::meta::RELATED_TASK;

/// Range of a part of a message, which is shorter than 4 GiB. Empty if the part is absent; no JSON value is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    start: u32,
    end: u32,
}

impl Place {
    pub(super) fn new(span: Span) -> Self {
        // `Envelope::read` rejects longer messages.
        let of = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: of(span.start),
            end: of(span.end),
        }
    }

    pub(super) fn span(self) -> Option<Span> {
        (self.start < self.end).then_some(self.start as usize..self.end as usize)
    }
}

/// The kind of a message and the ranges of its members.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    pub(super) kind: Kind,
    pub(super) id: Place,
    pub(super) method: Place,
    /// `params`, `result` or `error`.
    pub(super) body: Place,
    /// `params.name`.
    pub(super) name: Place,
    /// `params._meta`.
    pub(super) meta: Place,
    pub(super) ambiguity: Ambiguity,
    /// `params._meta` names a related task.
    pub(super) related_task: bool,
}

/// Whether readers of a message's `params` may disagree about its meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ambiguity {
    /// Concerns a member of `params` or of `params.ref`.
    pub(super) params: bool,
    /// Concerns `params._meta` or one of its members.
    pub(super) meta: bool,
}

#[derive(Default)]
struct Found {
    version: Place,
    id: Place,
    method: Place,
    params: Place,
    result: Place,
    error: Place,
    name: Place,
    meta: Place,
    ambiguity: Ambiguity,
    related_task: bool,
}

impl Envelope {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ParseError> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(ParseError::Shape("it is longer than 4 GiB".into()));
        }
        let whole = std::str::from_utf8(bytes).map_err(|error| {
            ParseError::Json(format!("not UTF-8 after byte {}", error.valid_up_to()))
        })?;
        let scan = Scan(bytes);
        let at = scan.skip(0);
        if bytes.get(at) != Some(&b'{') {
            let end = scan.value(at).map_err(wrong)?;
            scan.end(end).map_err(wrong)?;
            return Err(match bytes[at] {
                b'[' => ParseError::Batch,
                _ => ParseError::Shape("it is no object".into()),
            });
        }
        let (mut found, mut top) = (Found::default(), Spellings::of(&TOP));
        let end = scan.members(at, |key, at| found.member(scan, top.take(bytes, key), at));
        scan.end(end.map_err(wrong)?).map_err(wrong)?;
        if top.is_ambiguous() {
            let why = "a member of it occurs twice, or in another spelling";
            return Err(ParseError::Shape(why.into()));
        }
        found.judge(whole)
    }
}

fn wrong(wrong: SyntaxError) -> ParseError {
    ParseError::Json(format!(
        "{} was expected at byte {}",
        wrong.expected, wrong.at
    ))
}

impl Found {
    fn member(
        &mut self,
        scan: Scan<'_>,
        name: Option<&str>,
        at: usize,
    ) -> Result<usize, SyntaxError> {
        let end = if name == Some("params") {
            self.params(scan, at)?
        } else {
            scan.value(at)?
        };
        let found = Place::new(at..end);
        match name {
            Some("jsonrpc") => self.version = found,
            Some("id") => self.id = found,
            Some("method") => self.method = found,
            Some("params") => self.params = found,
            Some("result") => self.result = found,
            Some("error") => self.error = found,
            _ => {}
        }
        Ok(end)
    }

    fn params(&mut self, scan: Scan<'_>, at: usize) -> Result<usize, SyntaxError> {
        let (mut meta, mut others) = (false, false);
        let mut params = Spellings::of(&PARAMS);
        let end = if_object(scan, at, |key, at| {
            let name = params.take(scan.0, key);
            let end = match name {
                Some("_meta") => {
                    let (end, spellings) = watched(scan, at, &META)?;
                    meta |= spellings.is_ambiguous();
                    self.related_task |= spellings.has(RELATED_TASK);
                    end
                }
                Some("ref") => {
                    let (end, spellings) = watched(scan, at, &REFERENCE)?;
                    others |= spellings.is_ambiguous();
                    end
                }
                _ => scan.value(at)?,
            };
            match name {
                Some("name") => self.name = Place::new(at..end),
                Some("_meta") => self.meta = Place::new(at..end),
                _ => {}
            }
            Ok(end)
        })?;
        meta |= params.is_unclear("_meta");
        self.ambiguity = Ambiguity {
            params: others || params.is_ambiguous(),
            meta,
        };
        Ok(end)
    }

    /// Derives the kind from the members.
    fn judge(self, whole: &str) -> Result<Envelope, ParseError> {
        let shape = |why: &str| Err(ParseError::Shape(why.into()));
        let of = |place: Place| place.span().map(|span| &whole[span]);
        let version = of(self.version);
        if version != Some("\"2.0\"") && version.and_then(text).as_deref() != Some("2.0") {
            return shape("\"jsonrpc\" must be \"2.0\"");
        }
        let (id, result, error) = (of(self.id), of(self.result), of(self.error));
        let (kind, body) = if let Some(method) = of(self.method) {
            if !method.starts_with('"') {
                return shape("\"method\" must be a string");
            }
            if result.is_some() || error.is_some() {
                return shape("both a method and a result or error");
            }
            match id {
                None => (Kind::Notification, self.params),
                Some(id) if is_id(id) => (Kind::Request, self.params),
                Some(_) => return shape("\"id\" must be a string or a number"),
            }
        } else {
            // Some servers send the unused one of `result` and `error` as null.
            let (result, error) = match (result, error) {
                (Some(_), Some("null")) => (result, None),
                (Some("null"), Some(_)) => (None, error),
                both => both,
            };
            match (id, result, error) {
                (_, Some(_), Some(_)) => return shape("both a result and an error"),
                (Some(id), Some(_), None) if is_id(id) => (Kind::Response, self.result),
                (None, None, Some(_)) => (Kind::Error, self.error),
                (Some(id), None, Some(_)) if is_id(id) || id == "null" => (Kind::Error, self.error),
                (_, None, None) => return shape("neither a method nor a result or error"),
                _ => return shape("\"id\" must be a string or a number"),
            }
        };
        Ok(Envelope {
            kind,
            id: self.id,
            method: self.method,
            body,
            name: self.name,
            meta: self.meta,
            ambiguity: self.ambiguity,
            related_task: self.related_task,
        })
    }
}

/// Reads the value at this position and, if it is an object, passes its members to `member`.
fn if_object(
    scan: Scan<'_>,
    at: usize,
    member: impl FnMut(&Key, usize) -> Result<usize, SyntaxError>,
) -> Result<usize, SyntaxError> {
    if scan.0.get(at) == Some(&b'{') {
        return scan.members(at, member);
    }
    scan.value(at)
}

/// Reads a value and, if it is an object, which of these names it contains.
fn watched(
    scan: Scan<'_>,
    at: usize,
    names: &'static Names,
) -> Result<(usize, Spellings), SyntaxError> {
    let mut spellings = Spellings::of(names);
    let end = if_object(scan, at, |key, at| {
        spellings.take(scan.0, key);
        scan.value(at)
    })?;
    Ok((end, spellings))
}

fn is_id(raw: &str) -> bool {
    matches!(raw.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9'))
}
