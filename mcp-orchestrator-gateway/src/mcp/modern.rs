//! Requests of the modern era: required headers and `_meta` members (SEP-2243, SEP-2575).

use std::borrow::Cow;

use http::request::Parts;
use http::{HeaderMap, HeaderName};
use mcp_orchestrator_core::jsonrpc::{Members, Message, ParamsHead, text};
use mcp_orchestrator_core::protocol::{Era, header, meta, method, version};
use mcp_orchestrator_core::{Error, ErrorKind, Result, header_value};

use crate::request::head::Head;

const VERSION: HeaderName = HeaderName::from_static(header::PROTOCOL_VERSION);
const METHOD: HeaderName = HeaderName::from_static(header::METHOD);
const NAME: HeaderName = HeaderName::from_static(header::NAME);

/// Returns the era of a POST.
///
/// # Errors
/// If it names an unsupported protocol version.
pub(crate) fn era(head: &Head<'_>, message: &Message) -> Result<Era> {
    let named = named_version(head)?;
    let stated = stated_version(message);
    if let Some(stated) = &stated {
        if named.as_ref().is_some_and(|named| **named != **stated) {
            return Err(mismatch(
                "the header MCP-Protocol-Version disagrees with the body",
            ));
        }
        return match version::era(stated) {
            Some(Era::Modern) => Ok(Era::Modern),
            // Only modern requests state a version in `_meta`, so any other version stated there is unsupported.
            _ => Err(unsupported(stated, &version::MODERN)),
        };
    }
    match named.as_deref().map(|named| (named, version::era(named))) {
        Some((_, Some(era))) if message.method() != method::INITIALIZE => Ok(era),
        Some((named, None)) if message.method() != method::INITIALIZE => {
            Err(unsupported(named, &version::LEGACY))
        }
        _ => Ok(Era::Legacy),
    }
}

fn unsupported(asked: &str, supported: &[&str]) -> Error {
    let all: Vec<&str> = version::MODERN
        .iter()
        .chain(supported.iter().filter(|v| !version::MODERN.contains(v)))
        .copied()
        .collect();
    let data = serde_json::json!({ "supported": all, "requested": asked });
    let data = serde_json::value::to_raw_value(&data).unwrap_or_default();
    Error::new(
        ErrorKind::UnsupportedVersion,
        "this protocol version is not spoken here",
    )
    .with_data(data)
}

fn stated_version(message: &Message) -> Option<String> {
    if message.is_ambiguous() {
        return None;
    }
    let found = Members::read(message.meta()?)?;
    found
        .get(meta::PROTOCOL_VERSION)
        .map(|raw| text(raw).unwrap_or_default().into_owned())
}

/// Checks a modern request's headers against its body.
///
/// # Errors
/// [`HeaderMismatch`](ErrorKind::HeaderMismatch) or [`InvalidParams`](ErrorKind::InvalidParams).
pub(crate) fn check(head: &Head<'_>, message: &Message) -> Result<()> {
    let params = ParamsHead::read(message.body()).map_err(|error| invalid(&error.to_string()))?;
    let found = params
        .meta
        .and_then(|meta| Members::read(meta.get()))
        .unwrap_or_default();
    let stated = found.get(meta::PROTOCOL_VERSION).and_then(text);
    let named = named_version(head)?;
    match (&named, &stated) {
        (None, _) => return Err(mismatch("the header MCP-Protocol-Version is missing")),
        (_, None) => {
            return Err(invalid(&format!(
                "params._meta[{:?}] is missing",
                meta::PROTOCOL_VERSION
            )));
        }
        (Some(named), Some(stated)) if named != stated => {
            return Err(mismatch(
                "the header MCP-Protocol-Version disagrees with the body",
            ));
        }
        _ => {}
    }
    if !found
        .get(meta::CLIENT_CAPABILITIES)
        .is_some_and(|raw| raw.starts_with('{'))
    {
        return Err(invalid(&format!(
            "params._meta[{:?}] must be an object",
            meta::CLIENT_CAPABILITIES
        )));
    }
    match header(head, &METHOD)? {
        None => return Err(mismatch("the header Mcp-Method is missing")),
        Some(named) if named != message.method() => {
            return Err(mismatch("the header Mcp-Method disagrees with the body"));
        }
        Some(_) => {}
    }
    check_name(head, message, &params)
}

fn check_name(head: &Head<'_>, message: &Message, params: &ParamsHead<'_>) -> Result<()> {
    let (what, raw) = match message.method() {
        method::TOOLS_CALL | method::PROMPTS_GET => ("params.name", params.name),
        method::RESOURCES_READ => ("params.uri", params.uri),
        method::TASKS_GET | method::TASKS_UPDATE | method::TASKS_CANCEL => {
            ("params.taskId", params.task_id)
        }
        _ => return Ok(()),
    };
    let stated = raw
        .and_then(|raw| text(raw.get()))
        .ok_or_else(|| invalid(&format!("{what} is missing")))?;
    match header(head, &NAME)? {
        None => Err(mismatch("the header Mcp-Name is missing")),
        Some(named) if named != stated => Err(mismatch(&format!(
            "the header Mcp-Name disagrees with {what}"
        ))),
        Some(_) => Ok(()),
    }
}

/// Returns the protocol version that the headers name.
fn named_version<'a>(head: &Head<'a>) -> Result<Option<Cow<'a, str>>> {
    match head.version {
        None => Ok(None),
        Some(_) if head.repeats_version => Err(repeated(&VERSION)),
        Some(value) => {
            // Nearly all are a version that is known, as it is.
            let known = value
                .to_str()
                .ok()
                .filter(|text| version::era(text).is_some());
            let decode = || header_value::decode(value).map(Cow::Owned);
            let found = known.map(Cow::Borrowed).or_else(decode);
            found.map(Some).ok_or_else(|| malformed(&VERSION))
        }
    }
}

/// Returns a decoded protocol header.
fn header(head: &Head<'_>, name: &HeaderName) -> Result<Option<String>> {
    let mut values = head.headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(repeated(name));
    }
    match header_value::decode(value) {
        Some(text) => Ok(Some(text)),
        None => Err(malformed(name)),
    }
}

fn repeated(name: &HeaderName) -> Error {
    mismatch(&format!("the header {name} is given twice"))
}

fn malformed(name: &HeaderName) -> Error {
    mismatch(&format!("the header {name} is malformed"))
}

/// Returns the headers that repeat arguments; they are forwarded to the server.
pub(crate) fn param_headers(parts: &Parts) -> HeaderMap {
    let own = parts
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with(header::PARAM_PREFIX));
    own.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn mismatch(text: &str) -> Error {
    Error::new(ErrorKind::HeaderMismatch, text.to_owned())
}

fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidParams, text.to_owned())
}
