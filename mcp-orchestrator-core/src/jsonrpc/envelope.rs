//! The members of a message that routing reads, found in one pass over its bytes.

use super::message::{Kind, ParseError};
use super::scan::{Key, Scan, Wrong};
use super::{Span, text};

/// Where a part of a message stands; a message is shorter than 4 GiB. Empty where it is absent, which no JSON value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    start: u32,
    end: u32,
}

impl Place {
    pub(super) fn new(span: Span) -> Self {
        // `Envelope::read` refuses what is longer.
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

/// What a message is, and where its members stand.
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
    /// One of the two stands there twice.
    pub(super) ambiguous: bool,
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
    ambiguous: bool,
    twice: Option<&'static str>,
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
        let mut found = Found::default();
        let end = scan.members(at, |key, at| found.member(scan, key, at));
        scan.end(end.map_err(wrong)?).map_err(wrong)?;
        found.judge(whole)
    }
}

fn wrong(wrong: Wrong) -> ParseError {
    ParseError::Json(format!(
        "{} was expected at byte {}",
        wrong.expected, wrong.at
    ))
}

/// A key with its quotes, its escapes undone where it has any.
fn with_key<T>(scan: Scan<'_>, key: &Key, then: impl FnOnce(&[u8]) -> T) -> T {
    let raw = &scan.0[key.span.clone()];
    if !key.escaped {
        return then(raw);
    }
    let decoded = std::str::from_utf8(raw).ok().and_then(text);
    then(format!("\"{}\"", decoded.unwrap_or_default()).as_bytes())
}

impl Found {
    fn member(&mut self, scan: Scan<'_>, key: &Key, at: usize) -> Result<usize, Wrong> {
        let (place, name) = with_key(scan, key, |key| match key {
            b"\"jsonrpc\"" => (Some(&mut self.version), "jsonrpc"),
            b"\"id\"" => (Some(&mut self.id), "id"),
            b"\"method\"" => (Some(&mut self.method), "method"),
            b"\"params\"" => (Some(&mut self.params), "params"),
            b"\"result\"" => (Some(&mut self.result), "result"),
            b"\"error\"" => (Some(&mut self.error), "error"),
            _ => (None, ""),
        });
        let Some(place) = place else {
            return scan.value(at);
        };
        if *place != Place::default() {
            self.twice = Some(name);
        }
        let end = if name == "params" && scan.0.get(at) == Some(&b'{') {
            scan.members(at, |key, at| self.param(scan, key, at))?
        } else {
            scan.value(at)?
        };
        let found = Place::new(at..end);
        match name {
            "jsonrpc" => self.version = found,
            "id" => self.id = found,
            "method" => self.method = found,
            "params" => self.params = found,
            "result" => self.result = found,
            _ => self.error = found,
        }
        Ok(end)
    }

    fn param(&mut self, scan: Scan<'_>, key: &Key, at: usize) -> Result<usize, Wrong> {
        let end = scan.value(at)?;
        let place = with_key(scan, key, |key| match key {
            b"\"name\"" => Some(&mut self.name),
            b"\"_meta\"" => Some(&mut self.meta),
            _ => None,
        });
        if let Some(place) = place {
            self.ambiguous |= *place != Place::default();
            *place = Place::new(at..end);
        }
        Ok(end)
    }

    /// What it is, by the members it has.
    fn judge(self, whole: &str) -> Result<Envelope, ParseError> {
        let shape = |why: &str| Err(ParseError::Shape(why.into()));
        let of = |place: Place| place.span().map(|span| &whole[span]);
        if let Some(name) = self.twice {
            return shape(&format!("{name:?} stands there twice"));
        }
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
            // Some servers write the member that they do not mean as null.
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
            ambiguous: self.ambiguous,
        })
    }
}

fn is_id(raw: &str) -> bool {
    matches!(raw.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9'))
}
