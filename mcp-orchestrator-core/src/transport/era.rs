//! Translates messages between eras for plain calls.
//!
//! Only what the eras express differently is changed: the protocol's own keys of `_meta`, `resultType` and the cache
//! fields of results, a few error codes. Requests from a server to its client are left to the component that forwards
//! the reply, also those in the result `input_required` of a modern server.

use std::borrow::Cow;

use bytes::Bytes;
use futures_util::StreamExt as _;

use super::Outgoing;
use super::handshake::modern_meta;
use crate::call::{Reply, ReplyItem};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Members, Message, ResultHead, Splice, quote, span_of};
use crate::protocol::{Era, code, meta, method};
use crate::trace_context::{TRACEPARENT, TRACESTATE};

/// Converts a request to the server's era.
///
/// # Errors
/// [`InvalidParams`](ErrorKind::InvalidParams) for a modern retry, which no legacy server has asked for.
pub(super) fn request(
    outgoing: &Outgoing<'_>,
    edits: &mut Cow<'_, Splice>,
    to: Era,
    version: &str,
) -> Result<()> {
    let (mut remove_modern, mut members) = (false, String::new());
    match (outgoing.era, to) {
        (Era::Modern, Era::Legacy) => {
            reject_state(outgoing.message)?;
            remove_modern = true;
        }
        (Era::Legacy, Era::Modern) => members = meta_of_client(outgoing, version),
        _ if outgoing.trace.is_none() => return Ok(()),
        _ => {}
    }
    if let Some(trace) = outgoing.trace {
        let comma = if members.is_empty() { "" } else { "," };
        members.push_str(comma);
        members.push_str(&trace.members());
    }
    let is_replaced = |key: &str| {
        (remove_modern && is_modern_key(key))
            || (outgoing.trace.is_some() && [TRACEPARENT, TRACESTATE].contains(&key))
    };
    replace_meta(outgoing.message, edits, is_replaced, &members);
    Ok(())
}

fn reject_state(message: &Message) -> Result<()> {
    let params = message.body().and_then(Members::read).unwrap_or_default();
    if params.get("requestState").is_some() {
        let text = "params.requestState was not issued by the server, which is a legacy one: call again without it";
        return Err(Error::new(ErrorKind::InvalidParams, text));
    }
    Ok(())
}

/// Removes members from `params._meta` and inserts others, in one step: each edit alone would take the commas for its
/// own.
fn replace_meta(
    message: &Message,
    edits: &mut Cow<'_, Splice>,
    is_removed: impl Fn(&str) -> bool,
    members: &str,
) {
    let whole = message.bytes();
    let params = message.body().and_then(Members::read).unwrap_or_default();
    let object = params.get("_meta").filter(|meta| meta.starts_with('{'));
    let found = object.and_then(|meta| Some((meta, Members::read(meta)?)));
    let Some((meta, found)) = found else {
        if !members.is_empty() {
            insert_meta(message, edits.to_mut(), members);
        }
        return;
    };
    if found.0.iter().any(|(key, _)| is_removed(key)) {
        edits.to_mut().remove_members(whole, &found, &is_removed);
    }
    if !members.is_empty() {
        let at = span_of(whole, meta).start + 1;
        let is_only = found.0.iter().all(|(key, _)| is_removed(key));
        let comma = if is_only { "" } else { "," };
        let text = Bytes::from(format!("{members}{comma}"));
        edits.to_mut().replace(at..at, text);
    }
}

fn is_modern_key(key: &str) -> bool {
    [
        meta::PROTOCOL_VERSION,
        meta::CLIENT_INFO,
        meta::CLIENT_CAPABILITIES,
        meta::LOG_LEVEL,
    ]
    .contains(&key)
}

/// Returns the members of `_meta` that declare a legacy client to a modern server.
fn meta_of_client(outgoing: &Outgoing<'_>, version: &str) -> String {
    let Some(client) = outgoing.client else {
        return String::new();
    };
    let mut members = modern_meta(version, &client.info, &client.capabilities);
    if let Some(level) = &client.log_level {
        members.push_str(&format!(",\"{}\":{}", meta::LOG_LEVEL, quote(level)));
    }
    members
}

/// Inserts members into `params._meta`, and creates both if they are missing.
pub(super) fn insert_meta(message: &Message, edits: &mut Splice, members: &str) {
    let whole = message.bytes();
    if message.body() == Some("null") {
        let span = message.body_span().unwrap_or_default();
        edits.replace(span, Bytes::from(format!("{{\"_meta\":{{{members}}}}}")));
        return;
    }
    let Some(params) = message.body().filter(|body| body.starts_with('{')) else {
        let start = whole.iter().position(|b| *b == b'{').unwrap_or(0);
        edits.insert_member(
            whole,
            &(start..whole.len()),
            "params",
            &format!("{{\"_meta\":{{{members}}}}}"),
        );
        return;
    };
    let span = span_of(whole, params);
    let found = Members::read(params).unwrap_or_default();
    match found.get("_meta") {
        None => edits.insert_member(whole, &span, "_meta", &format!("{{{members}}}")),
        Some(meta) if meta.starts_with('{') => {
            edits.insert_text(whole, &span_of(whole, meta), members)
        }
        Some(other) => edits.replace(span_of(whole, other), Bytes::from(format!("{{{members}}}"))),
    };
}

/// Converts a reply to the caller's era.
pub(super) fn reply(reply: Reply, from: Era, to: Era, method: &str) -> Reply {
    // Clients get lists from the list cache, which needs to know how long the server allows them to be cached.
    if from == to || (to == Era::Legacy && is_list(method)) {
        return reply;
    }
    let cached = is_cached(method);
    let reading = method == method::RESOURCES_READ;
    match reply.into_ready() {
        Ok(response) => Reply::ready(answer(*response, to, cached, reading)),
        Err(stream) => Reply::stream(
            stream
                .map(move |item| translate(item, to, cached, reading))
                .boxed(),
        ),
    }
}

/// Converts an item to the other era.
fn translate(item: ReplyItem, to: Era, cached: bool, reading: bool) -> ReplyItem {
    match item {
        ReplyItem::Response(response) => ReplyItem::Response(answer(response, to, cached, reading)),
        // The component that forwards the reply converts the request to a result for a modern client, or refuses it.
        // Ending the call here would send a cancellation, which makes some servers lose the session.
        item @ (ReplyItem::Request(_) | ReplyItem::Notification(_) | ReplyItem::Failed(_)) => item,
    }
}

fn is_list(method: &str) -> bool {
    use crate::protocol::method as m;
    [
        m::TOOLS_LIST,
        m::PROMPTS_LIST,
        m::RESOURCES_LIST,
        m::RESOURCES_TEMPLATES_LIST,
    ]
    .contains(&method)
}

fn is_cached(method: &str) -> bool {
    use crate::protocol::method as m;
    is_list(method) || [m::RESOURCES_READ, m::DISCOVER].contains(&method)
}

fn answer(response: Message, to: Era, cached: bool, reading: bool) -> Message {
    if response.kind() == Kind::Error {
        return error_code(response, to, reading);
    }
    match to {
        Era::Modern => modern_result(response, cached),
        Era::Legacy => legacy_result(response),
    }
}

/// Adds the members that every modern result has.
pub(crate) fn modern_result(response: Message, cached: bool) -> Message {
    let mut splice = Splice::new();
    if let (Some(body), Some(span)) = (response.body(), response.body_span()) {
        let Some(members) = Members::read(body) else {
            return response;
        };
        let mut add = |key: &str, value: &str| {
            if members.get(key).is_none() {
                splice.insert_member(response.bytes(), &span, key, value);
            }
        };
        add("resultType", "\"complete\"");
        if cached {
            add("ttlMs", "0");
            add("cacheScope", "\"private\"");
        }
        if members.0.is_empty() {
            return response.spliced(&only_member(&span, cached));
        }
    }
    response.spliced(&splice)
}

/// Writes all members of `{}` as one text, because each single insertion assumes that it is the only one.
fn only_member(span: &crate::jsonrpc::Span, cached: bool) -> Splice {
    let text = if cached {
        "\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\""
    } else {
        "\"resultType\":\"complete\""
    };
    let mut splice = Splice::new();
    splice.replace(span.start + 1..span.start + 1, text);
    splice
}

/// Removes the members that only modern results have.
pub(crate) fn legacy_result(response: Message) -> Message {
    // Any other type is handled where the reply is forwarded, and then not seen by the client.
    if !ResultHead::read(response.body()).is_complete() {
        return response;
    }
    let mut splice = Splice::new();
    if let Some(members) = response.body().and_then(Members::read) {
        splice.remove_members(response.bytes(), &members, |key| {
            matches!(key, "resultType" | "ttlMs" | "cacheScope")
        });
        if let Some(meta) = members.get("_meta").and_then(Members::read) {
            splice.remove_members(response.bytes(), &meta, |key| key == meta::SERVER_INFO);
        }
    }
    response.spliced(&splice)
}

fn error_code(response: Message, to: Era, reading: bool) -> Message {
    let members = response.body().and_then(Members::read).unwrap_or_default();
    let code = members
        .get("code")
        .and_then(|code| code.parse::<i32>().ok());
    let new = match (to, code) {
        (Era::Modern, Some(code::RESOURCE_NOT_FOUND)) => code::INVALID_PARAMS,
        (Era::Legacy, Some(code::INVALID_PARAMS)) if reading => code::RESOURCE_NOT_FOUND,
        _ => return response,
    };
    let mut splice = Splice::new();
    splice.member(response.bytes(), &members, "code", new.to_string());
    response.spliced(&splice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace_context::TraceContext;

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    /// Returns a request as it is sent to the other era.
    fn sent(message: &Message, from: Era, to: Era, version: &str) -> Message {
        let client = super::super::ClientFacts {
            info: "{\"name\":\"c\"}".into(),
            capabilities: "{}".into(),
            log_level: Some("info".into()),
        };
        let outgoing = Outgoing {
            client: Some(&client),
            ..Outgoing::plain(message, 1, from)
        };
        let mut edits = Cow::Borrowed(outgoing.edits);
        request(&outgoing, &mut edits, to, version).unwrap();
        message.spliced(&edits)
    }

    #[test]
    fn trace_context_replaces_that_of_the_client() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = TraceContext::new(parent, Some("a=1")).unwrap();
        let modern = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
        let metas = [
            String::new(),
            r#""_meta":null"#.to_owned(),
            r#""_meta":{}"#.to_owned(),
            r#""_meta":{ "traceparent" : "00-x" }"#.to_owned(),
            r#""_meta":{"traceparent":"00-x","tracestate":"b=2","progressToken":7}"#.to_owned(),
            format!(r#""_meta":{{{modern}}}"#),
            format!(r#""_meta":{{{modern},"tracestate":"b=2","own":{{"traceparent":1}}}}"#),
        ];
        let eras = [Era::Legacy, Era::Modern];
        let routes = eras.into_iter().flat_map(|from| eras.map(|to| (from, to)));
        for (from, to) in routes {
            for meta in &metas {
                let text =
                    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{{meta}}}}}"#);
                let message = message(&text);
                let outgoing = Outgoing {
                    trace: Some(&trace),
                    ..Outgoing::plain(&message, 1, from)
                };
                let mut edits = Cow::Borrowed(outgoing.edits);
                request(&outgoing, &mut edits, to, "2026-07-28").unwrap();
                let sent = message.spliced(&edits);
                let value: serde_json::Value = serde_json::from_slice(sent.bytes()).unwrap();
                let found = &value["params"]["_meta"];
                assert_eq!(found["traceparent"], parent, "{text}");
                assert_eq!(found["tracestate"], "a=1", "{text}");
                let twice = sent.body().unwrap().matches("\"tracestate\"").count();
                assert_eq!(twice, 1, "{text}");
                if text.contains("own") {
                    assert_eq!(found["own"]["traceparent"], 1, "{text}");
                }
                let is_stripped = from == Era::Modern && to == Era::Legacy;
                let version = &found[meta::PROTOCOL_VERSION];
                let is_kept = text.contains(modern) && !is_stripped;
                assert_eq!(version.is_string(), is_kept, "{text}");
            }
        }
    }

    #[test]
    fn modern_meta_is_added_to_and_removed_from_requests() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":null,"a":1}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":1,"_meta":{}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"progressToken":7}}}"#,
        ] {
            let modern = sent(&message(text), Era::Legacy, Era::Modern, "2026-07-28");
            let value: serde_json::Value = serde_json::from_slice(modern.bytes()).unwrap();
            let found = &value["params"]["_meta"];
            assert_eq!(found[meta::PROTOCOL_VERSION], "2026-07-28", "{value}");
            assert_eq!(found[meta::LOG_LEVEL], "info");
            let modern = message(std::str::from_utf8(modern.bytes()).unwrap());
            let legacy = sent(&modern, Era::Modern, Era::Legacy, "2025-11-25");
            let value: serde_json::Value = serde_json::from_slice(legacy.bytes()).unwrap();
            assert!(
                value["params"]["_meta"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .all(|key| !is_modern_key(key)),
                "{value}"
            );
        }
    }

    #[test]
    fn modern_members_are_added_to_and_removed_from_results() {
        for (result, cached) in [
            ("{}", true),
            ("{}", false),
            (r#"{"tools":[],"x":1e999}"#, true),
        ] {
            let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{result}}}");
            let modern = modern_result(message(&text), cached);
            let members = Members::read(modern.body().unwrap()).unwrap();
            assert_eq!(members.get("resultType"), Some("\"complete\""));
            assert_eq!(members.get("ttlMs").is_some(), cached);
            assert_eq!(legacy_result(modern).bytes(), text.as_bytes());
        }
        let asks = message(r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required"}}"#);
        assert_eq!(legacy_result(asks.clone()).bytes(), asks.bytes());
    }

    #[test]
    fn an_unknown_resource_has_another_code() {
        let error = message(
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"m","data":{"a":1}}}"#,
        );
        let modern = error_code(error.clone(), Era::Modern, true);
        assert_eq!(
            modern.body(),
            Some(r#"{"code":-32602,"message":"m","data":{"a":1}}"#)
        );
        assert_eq!(error_code(modern, Era::Legacy, true).bytes(), error.bytes());
    }
}
