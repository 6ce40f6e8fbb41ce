//! Calls of tools that a gateway overrides: the arguments that it sets, and what the audit log records.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Members, Message, Splice, span_of};
use crate::orchestrator::state::context::Context;
use crate::router::{FixedArguments, ToolOverride};

/// Adds the edits of an override to a call of the tool with this own name.
///
/// # Errors
/// [`InvalidParams`](ErrorKind::InvalidParams) if the caller sends an argument that the gateway sets, or arguments that
/// are not an object.
pub(super) fn changed_call(
    context: &Context,
    message: &Message,
    (own, change): (&str, &ToolOverride),
    edits: &mut Splice,
) -> Result<()> {
    if let Some(trail) = &context.trail
        && change.name.as_deref().is_some_and(|name| name != own)
    {
        trail.is_called(own);
    }
    if change.arguments.is_empty() {
        return Ok(());
    }
    set(message, &change.arguments, edits)
}

/// Sets the fixed arguments. All other bytes of the arguments stay as they are.
fn set(message: &Message, fixed: &FixedArguments, edits: &mut Splice) -> Result<()> {
    let whole = message.bytes();
    let (Some(body), Some(body_span)) = (message.body(), message.body_span()) else {
        return Err(invalid("params must be an object"));
    };
    let params = Members::read(body).ok_or_else(|| invalid("params must be an object"))?;
    let members = fixed.members();
    match params.get("arguments") {
        None => edits.insert_member(whole, &body_span, "arguments", &format!("{{{members}}}")),
        // The same as absent to most servers.
        Some("null") => edits.member(whole, &params, "arguments", format!("{{{members}}}")),
        Some(arguments) => {
            let given = Members::read(arguments)
                .ok_or_else(|| invalid("params.arguments must be an object"))?;
            let mut given = given.0.iter();
            if let Some(name) = given.find_map(|(key, _)| fixed.taken_for(key)) {
                return Err(invalid(format!(
                    "params.arguments.{name} is set by this gateway: call the tool without the argument {name:?}"
                )));
            }
            edits.insert_text(whole, &span_of(whole, arguments), &members)
        }
    };
    Ok(())
}

fn invalid(text: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidParams, text)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::value::RawValue;

    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn sent(params: &str) -> std::result::Result<String, String> {
        let fixed = FixedArguments::default()
            .with("repo", &raw("\"a/b\""))
            .with("limit", &raw("123456789012345678901234567890"));
        let whole =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let message = Message::parse(Bytes::from(whole)).unwrap();
        let mut edits = Splice::new();
        set(&message, &fixed, &mut edits).map_err(|error| error.to_string())?;
        let message = message.spliced(&edits);
        Ok(message.body().unwrap().to_owned())
    }

    #[test]
    fn fixed_arguments_are_spliced_in() {
        const FIXED: &str = r#""repo":"a/b","limit":123456789012345678901234567890"#;
        for (params, out) in [
            (
                r#"{"name":"t","arguments":{ "x" : 1e999, "y":[ ] }}"#,
                format!(r#"{{"name":"t","arguments":{{{FIXED}, "x" : 1e999, "y":[ ] }}}}"#),
            ),
            (
                r#"{"name":"t","arguments": { } }"#,
                format!(r#"{{"name":"t","arguments": {{{FIXED} }} }}"#),
            ),
            (
                r#"{"name":"t"}"#,
                format!(r#"{{"arguments":{{{FIXED}}},"name":"t"}}"#),
            ),
            (
                r#"{"arguments" : null ,"name":"t"}"#,
                format!(r#"{{"arguments" : {{{FIXED}}} ,"name":"t"}}"#),
            ),
            (
                r#"{"name":"t","arguments":{"x":{"repo":1},"repos":2,"x":3}}"#,
                format!(
                    r#"{{"name":"t","arguments":{{{FIXED},"x":{{"repo":1}},"repos":2,"x":3}}}}"#
                ),
            ),
        ] {
            assert_eq!(sent(params), Ok(out), "{params}");
        }
    }

    #[test]
    fn callers_cannot_send_a_fixed_argument_in_any_spelling() {
        for key in [
            "repo",
            "Repo",
            "REPO",
            r"r\u0065po",
            r"repo\u0000",
            r"repo\u0000x",
        ] {
            for arguments in [
                format!(r#"{{"{key}":1}}"#),
                format!(r#"{{"x":1,"{key}":null}}"#),
                format!(r#"{{"{key}":1,"{key}":"a/b"}}"#),
            ] {
                let error = sent(&format!(r#"{{"name":"t","arguments":{arguments}}}"#));
                let error = error.unwrap_err();
                assert!(error.contains("params.arguments.repo is set"), "{error}");
            }
        }
    }

    #[test]
    fn arguments_that_are_no_object_are_rejected() {
        for arguments in ["[]", "1", "true", "\"{}\"", "[{}]"] {
            let error = sent(&format!(r#"{{"name":"t","arguments":{arguments}}}"#));
            let error = error.unwrap_err();
            assert!(error.contains("must be an object"), "{arguments}: {error}");
        }
    }
}
