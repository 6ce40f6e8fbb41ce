//! Parses the head of a response: status, media type and body framing.

use std::mem::MaybeUninit;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, StatusCode};

use super::Broken;
use super::body::Body;
use crate::limits::{MAX_RESPONSE_FIELDS, MAX_RESPONSE_HEAD};

/// The head of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) media: Media,
    /// The framing of the body, before any of it was read.
    pub(crate) body: Body,
    /// The content coding of the body.
    pub(crate) coding: Coding,
    /// `true` if the connection cannot serve another request.
    pub(crate) last: bool,
    /// How long the server keeps an idle connection open, if it says so.
    pub(crate) keeps_for: Option<Duration>,
    /// The head as received, for fields that are rarely looked up.
    raw: Bytes,
}

/// The media type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// `application/json`.
    Json,
    /// `text/event-stream`.
    Events,
    /// Any other media type, or no `Content-Type`.
    Other,
}

/// The content coding of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Not encoded.
    #[default]
    Identity,
    /// `gzip`.
    Gzip,
    /// `deflate`.
    Deflate,
    /// An unsupported coding, or several codings.
    Other,
}

/// The header fields that decide how the body is framed and whether the connection is kept.
struct Framing {
    media: Media,
    length: Option<u64>,
    /// `None` without a transfer coding; otherwise whether the last coding is `chunked`.
    transfer: Option<bool>,
    coding: Coding,
    close: bool,
    keep: bool,
    keeps_for: Option<Duration>,
}

impl Head {
    /// Parses a head from the start of the input. Returns `None` if the head is incomplete.
    pub(super) fn parse(input: &mut BytesMut) -> Result<Option<Self>, Broken> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_RESPONSE_FIELDS];
        let mut response = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            input,
            &mut fields,
        );
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if input.len() <= MAX_RESPONSE_HEAD => return Ok(None),
            Ok(httparse::Status::Partial) => return Err(Broken::Invalid("its head is too long")),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Broken::Invalid("it has too many header fields"));
            }
            Err(_) => return Err(Broken::Invalid("its head is malformed")),
        };
        let status = response
            .code
            .and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(Broken::Invalid("its status is not known to HTTP"))?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Broken::Invalid(
                "it switches protocols without a request for it",
            ));
        }
        let old = response.version == Some(0);
        let framing = Framing::read(response.headers)?;
        let body = framing.body(status)?;
        let last = framing.close || (old && !framing.keep) || body.ends_with_connection();
        Ok(Some(Self {
            status,
            media: framing.media,
            body,
            coding: framing.coding,
            last,
            keeps_for: framing.keeps_for,
            raw: input.split_to(length).freeze(),
        }))
    }

    /// Returns the first field with this name. Parses the head again on each call.
    pub(crate) fn field(&self, name: &HeaderName) -> Option<HeaderValue> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_RESPONSE_FIELDS];
        let mut response = httparse::Response::new(&mut []);
        httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut response, &self.raw, &mut fields)
            .ok()?;
        let field = response
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name.as_str()))?;
        HeaderValue::from_bytes(field.value).ok()
    }
}

impl Framing {
    fn read(fields: &[httparse::Header<'_>]) -> Result<Self, Broken> {
        let mut framing = Self {
            media: Media::Other,
            length: None,
            transfer: None,
            coding: Coding::Identity,
            close: false,
            keep: false,
            keeps_for: None,
        };
        for field in fields {
            // Compare lengths first, because most fields match none of these.
            match field.name.len() {
                12 if field.name.eq_ignore_ascii_case("content-type") => {
                    framing.media = Media::of(field.value);
                }
                14 if field.name.eq_ignore_ascii_case("content-length") => {
                    let length = number(field.value)
                        .filter(|length| framing.length.is_none_or(|before| before == *length));
                    framing.length =
                        Some(length.ok_or(Broken::Invalid("its length is no number"))?);
                }
                17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                    let last = field
                        .value
                        .rsplit(|b| *b == b',')
                        .next()
                        .unwrap_or_default();
                    framing.transfer = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
                }
                10 if field.name.eq_ignore_ascii_case("connection") => {
                    for word in field.value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                        framing.close |= word.eq_ignore_ascii_case(b"close");
                        framing.keep |= word.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                10 if field.name.eq_ignore_ascii_case("keep-alive") => {
                    framing.keeps_for = keeps_for(field.value);
                }
                16 if field.name.eq_ignore_ascii_case("content-encoding") => {
                    for coding in field.value.split(|b| *b == b',') {
                        framing.coding = framing.coding.and(Coding::of(coding));
                    }
                }
                _ => {}
            }
        }
        Ok(framing)
    }

    /// Determines the body framing (RFC 9112, section 6.3).
    fn body(&self, status: StatusCode) -> Result<Body, Broken> {
        if status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
        {
            return Ok(Body::done());
        }
        match (self.transfer, self.length) {
            // Conflicting framing enables request smuggling.
            (Some(_), Some(_)) => Err(Broken::Invalid("it has a length and a transfer coding")),
            (Some(true), None) => Ok(Body::chunked()),
            (Some(false), None) | (None, None) => Ok(Body::until_close()),
            (None, Some(length)) => Ok(Body::length(length)),
        }
    }
}

impl Coding {
    fn of(value: &[u8]) -> Self {
        let value = value.trim_ascii();
        if value.is_empty() || value.eq_ignore_ascii_case(b"identity") {
            Self::Identity
        } else if value.eq_ignore_ascii_case(b"gzip") || value.eq_ignore_ascii_case(b"x-gzip") {
            Self::Gzip
        } else if value.eq_ignore_ascii_case(b"deflate") {
            Self::Deflate
        } else {
            Self::Other
        }
    }

    /// Combines two codings that were applied one after the other.
    fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::Identity, one) | (one, Self::Identity) => one,
            _ => Self::Other,
        }
    }
}

impl Media {
    fn of(value: &[u8]) -> Self {
        let begins = |name: &str| {
            value
                .get(..name.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(name.as_bytes()))
        };
        if begins("application/json") {
            Self::Json
        } else if begins("text/event-stream") {
            Self::Events
        } else {
            Self::Other
        }
    }
}

/// Parses `timeout=N` from a `Keep-Alive` field.
fn keeps_for(value: &[u8]) -> Option<Duration> {
    let mut parts = value.split(|b| matches!(b, b',' | b';' | b' '));
    let seconds = parts.find_map(|part| part.strip_prefix(b"timeout="))?;
    number(seconds).map(Duration::from_secs)
}

fn number(digits: &[u8]) -> Option<u64> {
    let digits = digits.trim_ascii();
    let add = |sum: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    };
    digits
        .iter()
        .try_fold(0, add)
        .filter(|_| !digits.is_empty())
}
