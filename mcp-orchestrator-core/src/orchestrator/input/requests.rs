//! The requests in an `input_required` result, and the answers in the call that follows.

use serde_json::value::RawValue;

use crate::call::own;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Members, Message, Splice, quote, raw, request, response, span_of, text};
use crate::limits::MAX_INPUT_REQUESTS;
use crate::protocol::{meta, method};
use crate::session::{RequestKinds, required_capability};

/// An `input_required` result.
pub(crate) struct InputRequired<'a> {
    /// The requests, by their keys.
    pub(crate) requests: Vec<InputRequest<'a>>,
    /// The server's state, as JSON.
    pub(crate) state: Option<&'a str>,
}

/// One of its requests.
pub(crate) struct InputRequest<'a> {
    pub(crate) key: String,
    pub(crate) method: String,
    pub(crate) params: Option<&'a str>,
}

impl<'a> InputRequired<'a> {
    /// Reads a result of this type.
    ///
    /// # Errors
    /// A description of what the protocol does not allow.
    pub(crate) fn read(result: &'a Members<'a>) -> Result<Self, String> {
        let state = result.get("requestState");
        if state.is_some_and(|state| text(state).is_none()) {
            return Err("its requestState is not a string".to_owned());
        }
        let requests = match result.get("inputRequests") {
            None => Members::default(),
            Some(map) => Members::read(map).ok_or("its inputRequests is not an object")?,
        };
        if requests.0.is_empty() && state.is_none() {
            return Err("it has neither inputRequests nor requestState".to_owned());
        }
        if requests.0.len() > MAX_INPUT_REQUESTS {
            let count = requests.0.len();
            return Err(format!(
                "it has {count} inputRequests, and at most {MAX_INPUT_REQUESTS} are allowed"
            ));
        }
        let requests = requests.0.into_iter();
        let requests = requests.map(|(key, value)| InputRequest::read(&key, value));
        Ok(Self {
            requests: requests.collect::<Result<_, _>>()?,
            state,
        })
    }
}

impl<'a> InputRequest<'a> {
    fn read(key: &str, value: &'a RawValue) -> Result<Self, String> {
        let members = Members::read(value.get()).unwrap_or_default();
        let asked = members.get("method").and_then(text);
        let Some(asked) = asked.filter(|asked| is_input_method(asked)) else {
            return Err(format!(
                "its request {} has no method that a client can be asked",
                quote(key)
            ));
        };
        // Some programs write `null` for absent params.
        let params = members.get("params").filter(|params| *params != "null");
        if params.is_some_and(|params| !params.starts_with('{')) {
            return Err(format!(
                "the params of its request {} are not an object",
                quote(key)
            ));
        }
        Ok(Self {
            key: key.to_owned(),
            method: asked.into_owned(),
            params,
        })
    }

    /// Returns the request for a legacy client. URL elicitations have an id there.
    pub(super) fn for_legacy_client(&self) -> Message {
        let message = own(request("0", &self.method, self.params));
        let members = message.body().and_then(Members::read).unwrap_or_default();
        let is_url = self.method == method::ELICITATION
            && members.get("mode").and_then(text).as_deref() == Some("url");
        let Some(span) = message.body_span().filter(|_| is_url) else {
            return message;
        };
        if members.get(ELICITATION_ID).is_some() {
            return message;
        }
        let mut splice = Splice::new();
        let id = quote(&crate::seal::random_text(16));
        splice.insert_member(message.bytes(), &span, ELICITATION_ID, &id);
        message.spliced(&splice)
    }
}

const ELICITATION_ID: &str = "elicitationId";

/// Returns `true` for the methods of requests that a result can contain.
pub(super) fn is_input_method(name: &str) -> bool {
    [method::SAMPLING, method::ELICITATION, method::ROOTS_LIST].contains(&name)
}

/// Returns `true` for the methods of calls whose result may require input.
pub(super) fn may_require_input(call: &str) -> bool {
    [
        method::TOOLS_CALL,
        method::PROMPTS_GET,
        method::RESOURCES_READ,
    ]
    .contains(&call)
}

/// Returns the kinds of requests that can be made of a modern client during its call.
pub(super) fn kinds(call: &Message) -> RequestKinds {
    if !may_require_input(call.method()) {
        return RequestKinds::default();
    }
    let meta = call.meta().and_then(Members::read).unwrap_or_default();
    RequestKinds::of(meta.get(meta::CLIENT_CAPABILITIES).unwrap_or("{}"))
}

/// Returns the request of a legacy server as a member of `inputRequests`.
pub(super) fn for_modern_client(key: &str, request: &Message) -> String {
    // Some clients cannot parse a request without params.
    let params = request.body().unwrap_or("{}");
    let members = Members::read(params).unwrap_or_default();
    let mut splice = Splice::new();
    splice.remove_members(params.as_bytes(), &members, |name| name == ELICITATION_ID);
    let params = splice.apply(&bytes::Bytes::copy_from_slice(params.as_bytes()));
    format!(
        r#"{key}:{{"method":{method},"params":{params}}}"#,
        key = quote(key),
        method = quote(request.method()),
        params = String::from_utf8_lossy(&params),
    )
}

/// Returns the key of a request in `inputRequests`.
pub(super) fn key_of(at: usize) -> String {
    format!("input-{}", at + 1)
}

/// Returns the result that asks a modern client. `requests` are the members of `inputRequests`.
pub(super) fn input_required(id: &str, requests: &[String], state: &str) -> Message {
    let requests = requests.join(",");
    let result = format!(
        r#"{{"resultType":"input_required","inputRequests":{{{requests}}},"requestState":{state}}}"#,
        state = quote(state),
    );
    own(response(id, &result))
}

/// Returns a call again, with answers (members of `inputResponses`, by key) and the server's state instead of those
/// that it may have had.
pub(super) fn answered_call(
    message: &Message,
    answers: &[(String, String)],
    state: Option<&str>,
) -> Message {
    let members = message.body().and_then(Members::read).unwrap_or_default();
    let mut splice = Splice::new();
    splice.remove_members(message.bytes(), &members, is_of_a_retry);
    let without = message.spliced(&splice);
    let mut added = Vec::new();
    if !answers.is_empty() {
        let answers: Vec<_> = answers
            .iter()
            .map(|(key, answer)| format!("{}:{answer}", quote(key)))
            .collect();
        added.push(format!(r#""inputResponses":{{{}}}"#, answers.join(",")));
    }
    if let Some(state) = state {
        added.push(format!(r#""requestState":{state}"#));
    }
    let Some(body) = without.body().filter(|_| !added.is_empty()) else {
        return without;
    };
    let mut splice = Splice::new();
    let span = span_of(without.bytes(), body);
    splice.insert_text(without.bytes(), &span, &added.join(","));
    without.spliced(&splice)
}

/// Returns `true` for the members of params that only a repeated call has.
pub(super) fn is_of_a_retry(member: &str) -> bool {
    matches!(member, "requestState" | "inputResponses")
}

/// Returns the error for a client that did not declare what a request needs.
pub(super) fn missing_capability(method: &str, params: Option<&str>) -> Error {
    let required = required_capability(method, params).unwrap_or("{}");
    let text = format!(
        "the server sends {method} during this call, and the client does not declare the capability {required}"
    );
    let required: serde_json::Value = serde_json::from_str(required).unwrap_or_default();
    let data = serde_json::json!({ "requiredCapabilities": required });
    Error::new(ErrorKind::MissingCapability, text).with_data(raw(&data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(result: &str) -> Result<(usize, Option<String>), String> {
        let members = Members::read(result).unwrap();
        let read = InputRequired::read(&members)?;
        Ok((read.requests.len(), read.state.map(str::to_owned)))
    }

    #[test]
    fn result_without_requests_and_state_is_rejected() {
        let one = r#"{"a":{"method":"roots/list"}}"#;
        let result = format!(r#"{{"inputRequests":{one},"requestState":"s"}}"#);
        assert_eq!(read(&result), Ok((1, Some("\"s\"".to_owned()))));
        assert_eq!(
            read(r#"{"requestState":"s"}"#),
            Ok((0, Some("\"s\"".to_owned())))
        );
        let many: Vec<_> = (0..=MAX_INPUT_REQUESTS)
            .map(|n| format!(r#""{n}":{{"method":"roots/list"}}"#))
            .collect();
        for (wrong, why) in [
            ("{}", "neither"),
            (r#"{"requestState":1}"#, "not a string"),
            (r#"{"inputRequests":[]}"#, "not an object"),
            (
                r#"{"inputRequests":{"a":{"method":"tools/call"}}}"#,
                "\"a\"",
            ),
            (r#"{"inputRequests":{"a":1}}"#, "\"a\""),
            (
                r#"{"inputRequests":{"a":{"method":"roots/list","params":[1]}}}"#,
                "not an object",
            ),
            (
                &format!(r#"{{"inputRequests":{{{}}}}}"#, many.join(",")),
                "at most",
            ),
        ] {
            let refused = read(wrong).unwrap_err();
            assert!(refused.contains(why), "{wrong}: {refused}");
        }
    }

    #[test]
    fn answered_call_contains_the_latest_answers_and_the_exact_state() {
        let call = own(request(
            "1",
            method::TOOLS_CALL,
            Some(r#"{"inputResponses":{"old":1},"name":"t","requestState":"old"}"#),
        ));
        let answers = [("k\"".to_owned(), r#"{"big":1e400}"#.to_owned())];
        let again = answered_call(&call, &answers, Some(r#""\u00e9""#));
        assert_eq!(
            again.body(),
            Some(r#"{"inputResponses":{"k\"":{"big":1e400}},"requestState":"\u00e9","name":"t"}"#)
        );
        let bare = answered_call(&call, &[], None);
        assert_eq!(bare.body(), Some(r#"{"name":"t"}"#));
    }

    #[test]
    fn url_elicitation_has_an_id_for_legacy_clients_only() {
        let url = InputRequest {
            key: "k".to_owned(),
            method: method::ELICITATION.to_owned(),
            params: Some(r#"{"mode":"url","url":"https://x"}"#),
        };
        let legacy = url.for_legacy_client();
        let members = Members::read(legacy.body().unwrap()).unwrap();
        assert!(members.get(ELICITATION_ID).and_then(text).is_some());
        assert_eq!(
            for_modern_client("k", &legacy),
            r#""k":{"method":"elicitation/create","params":{"mode":"url","url":"https://x"}}"#
        );
        let form = InputRequest {
            params: Some("{}"),
            ..url
        };
        assert_eq!(form.for_legacy_client().body(), Some("{}"));
    }

    #[test]
    fn only_calls_whose_result_may_require_input_allow_requests() {
        let capabilities = r#"{"roots":{}}"#;
        for (called, allowed) in [
            (method::TOOLS_CALL, true),
            (method::PROMPTS_GET, true),
            (method::RESOURCES_READ, true),
            (method::COMPLETE, false),
            (method::TASKS_GET, false),
        ] {
            let params = format!(
                r#"{{"_meta":{{"{}":{capabilities}}}}}"#,
                meta::CLIENT_CAPABILITIES
            );
            let call = own(request("1", called, Some(&params)));
            assert_eq!(
                kinds(&call).allow(method::ROOTS_LIST, None),
                allowed,
                "{called}"
            );
        }
    }
}
