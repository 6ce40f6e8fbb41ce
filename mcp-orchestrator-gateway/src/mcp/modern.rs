//! Requests of the modern era: required headers and `_meta` members (SEP-2243, SEP-2575).

use http::request::Parts;
use http::{HeaderMap, HeaderName};
use mcp_orchestrator_core::jsonrpc::{Members, Message, ParamsHead, text};
use mcp_orchestrator_core::protocol::{Era, header, meta, method, version};
use mcp_orchestrator_core::{Error, ErrorKind, Result, header_value};

const VERSION: HeaderName = HeaderName::from_static(header::PROTOCOL_VERSION);
const METHOD: HeaderName = HeaderName::from_static(header::METHOD);
const NAME: HeaderName = HeaderName::from_static(header::NAME);

/// Returns the era of a POST.
///
/// # Errors
/// If it names an unsupported protocol version.
pub(crate) fn era(parts: &Parts, message: &Message) -> Result<Era> {
    let named = header(parts, &VERSION)?;
    let stated = stated_version(message);
    if let Some(stated) = &stated {
        if named.as_ref().is_some_and(|named| named != stated) {
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
pub(crate) fn check(parts: &Parts, message: &Message) -> Result<()> {
    let head = ParamsHead::read(message.body()).map_err(|error| invalid(&error.to_string()))?;
    let found = head
        .meta
        .and_then(|meta| Members::read(meta.get()))
        .unwrap_or_default();
    let stated = found.get(meta::PROTOCOL_VERSION).and_then(text);
    let named = header(parts, &VERSION)?;
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
    match header(parts, &METHOD)? {
        None => return Err(mismatch("the header Mcp-Method is missing")),
        Some(named) if named != message.method() => {
            return Err(mismatch("the header Mcp-Method disagrees with the body"));
        }
        Some(_) => {}
    }
    check_name(parts, message, &head)
}

fn check_name(parts: &Parts, message: &Message, head: &ParamsHead<'_>) -> Result<()> {
    let (what, raw) = match message.method() {
        method::TOOLS_CALL | method::PROMPTS_GET => ("params.name", head.name),
        method::RESOURCES_READ => ("params.uri", head.uri),
        method::TASKS_GET | method::TASKS_UPDATE | method::TASKS_CANCEL => {
            ("params.taskId", head.task_id)
        }
        _ => return Ok(()),
    };
    let stated = raw
        .and_then(|raw| text(raw.get()))
        .ok_or_else(|| invalid(&format!("{what} is missing")))?;
    match header(parts, &NAME)? {
        None => Err(mismatch("the header Mcp-Name is missing")),
        Some(named) if named != stated => Err(mismatch(&format!(
            "the header Mcp-Name disagrees with {what}"
        ))),
        Some(_) => Ok(()),
    }
}

/// Returns a decoded protocol header.
fn header(parts: &Parts, name: &HeaderName) -> Result<Option<String>> {
    let mut values = parts.headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(mismatch(&format!("the header {name} stands there twice")));
    }
    match header_value::decode(value) {
        Some(text) => Ok(Some(text)),
        None => Err(mismatch(&format!("the header {name} is malformed"))),
    }
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
