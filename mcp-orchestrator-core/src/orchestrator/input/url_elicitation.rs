//! The error of a legacy server that requires its client to open addresses (-32042), for modern clients.

use super::request_state::Continuation;
use super::requests::{
    for_modern_client, input_required, key_of, kinds, may_require_input, missing_capability,
};
use crate::call::{ReplyItem, own};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Members, Message, Splice, text};
use crate::limits::MAX_INPUT_REQUESTS;
use crate::orchestrator::params::missing;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::protocol::{code, method};

/// Code of [`code::URL_ELICITATION_REQUIRED`], as JSON.
const URL_REQUIRED: &str = "-32042";

impl Inner {
    /// Converts a legacy server's error that requires the client to open addresses to the result that asks for it.
    /// Returns other responses unchanged.
    pub(super) fn url_elicitation(
        &self,
        context: &Context,
        message: &Message,
        response: Message,
    ) -> ReplyItem {
        let error = response.body().and_then(Members::read).unwrap_or_default();
        if error.get("code") != Some(URL_REQUIRED) {
            return ReplyItem::Response(response);
        }
        let data = error.get("data").and_then(Members::read);
        let asked: Vec<&serde_json::value::RawValue> = data
            .as_ref()
            .and_then(|data| data.get("elicitations"))
            .and_then(|all| serde_json::from_str(all).ok())
            .unwrap_or_default();
        let are_objects = asked.iter().all(|params| params.get().starts_with('{'));
        let is_usable = are_objects && !asked.is_empty() && asked.len() <= MAX_INPUT_REQUESTS;
        if !is_usable || !may_require_input(message.method()) {
            return ReplyItem::Response(with_code(&response, &error, code::INTERNAL));
        }
        if !kinds(message).url_elicitation {
            let asked = asked.first().map(|first| first.get());
            return ReplyItem::Failed(missing_capability(method::ELICITATION, asked));
        }
        let requests = asked.iter().enumerate().map(|(at, params)| {
            let id = (at + 1).to_string();
            let request = own(crate::jsonrpc::request(
                &id,
                method::ELICITATION,
                Some(params.get()),
            ));
            for_modern_client(&key_of(at), &request)
        });
        let requests: Vec<_> = requests.collect();
        let state = self.issue_state(context, message, Continuation::AfterUrl, "");
        let caller = message.id().unwrap_or("null");
        ReplyItem::Response(input_required(caller, &requests, &state))
    }
}

fn with_code(response: &Message, error: &Members<'_>, new: i32) -> Message {
    let mut splice = Splice::new();
    splice.member(response.bytes(), error, "code", new.to_string());
    response.spliced(&splice)
}

/// Checks that the client has opened every address.
pub(super) fn accepted(params: &Members<'_>) -> Result<()> {
    let answers = params.get("inputResponses").and_then(Members::read);
    let answers = answers.ok_or_else(|| missing("inputResponses"))?;
    let declined = answers.0.iter().find(|(_, answer)| {
        let answer = Members::read(answer.get()).unwrap_or_default();
        answer.get("action").and_then(text).as_deref() != Some("accept")
    });
    match declined {
        None => Ok(()),
        Some((key, _)) => Err(Error::new(
            ErrorKind::Cancelled,
            format!("the call needs the address of {key}, which the client did not open"),
        )),
    }
}
