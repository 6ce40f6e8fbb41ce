//! The values of `requestState` that the gateway issues.
//!
//! A value is sealed for its principal and gateway, and names the request that it belongs to. All have a prefix, so that
//! one that was altered, copied from another principal or made up is refused, and never sent to a server as its own.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::requests::is_of_a_retry;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Members, Message, text};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::seal::StateKey;

const PREFIX: &str = "mcpo.";
const LABEL: &str = "request state";
/// Length of the hash that identifies a request: 16 bytes in hex.
const HASH_LEN: usize = 32;

/// What happens when the client calls again with a `requestState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Continuation {
    /// The parked call with the id in the state continues.
    Parked,
    /// The call is repeated: its client was asked to open an address for the server.
    AfterUrl,
    /// The call is repeated: its client was asked for a credential.
    AfterCredential,
}

impl Continuation {
    fn code(self) -> u8 {
        match self {
            Self::Parked => b'p',
            Self::AfterUrl => b'u',
            Self::AfterCredential => b'c',
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        let all = [Self::Parked, Self::AfterUrl, Self::AfterCredential];
        all.into_iter().find(|one| one.code() == code)
    }
}

/// An opened `requestState`.
pub(crate) struct IssuedState {
    pub(crate) continuation: Continuation,
    /// Id of the parked call; empty for others.
    pub(crate) id: String,
}

impl Inner {
    /// Returns a `requestState` for this caller and request. `id` is that of the parked call.
    pub(crate) fn issue_state(
        &self,
        context: &Context,
        message: &Message,
        continuation: Continuation,
        id: &str,
    ) -> String {
        let hash = request_hash(&self.key, message);
        let plain = [&[continuation.code()], hash.as_bytes(), id.as_bytes()].concat();
        let sealed = self.key.seal(LABEL, &binding(context), &plain);
        format!("{PREFIX}{sealed}")
    }

    /// Opens the `requestState` of a request. Returns `None` for a request without one, or with one that
    /// a server issued.
    ///
    /// # Errors
    /// [`InvalidParams`](ErrorKind::InvalidParams) if it was altered, or issued to another principal, at another gateway
    /// or for another request.
    pub(crate) fn issued_state(
        &self,
        context: &Context,
        message: &Message,
    ) -> Result<Option<IssuedState>> {
        static STATES: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("\"requestState\""));
        if STATES.find(message.bytes()).is_none() {
            return Ok(None);
        }
        let params = message.body().and_then(Members::read).unwrap_or_default();
        let state = params.get("requestState").and_then(text);
        let Some(sealed) = state
            .as_deref()
            .and_then(|state| state.strip_prefix(PREFIX))
        else {
            return Ok(None);
        };
        let plain = self.key.open(LABEL, &binding(context), sealed);
        let plain = plain.ok_or_else(|| {
            refused(
                "was altered, or was issued to another principal or gateway: call again without it",
            )
        })?;
        let opened = plain.split_first().and_then(|(code, rest)| {
            let (hash, id) = rest.split_at_checked(HASH_LEN)?;
            let continuation = Continuation::of_code(*code)?;
            Some((continuation, hash, std::str::from_utf8(id).ok()?))
        });
        let (continuation, hash, id) = opened.ok_or_else(|| refused("is unreadable"))?;
        if hash != request_hash(&self.key, message).as_bytes() {
            return Err(refused(
                "was issued for another request: repeat that request with the same parameters",
            ));
        }
        Ok(Some(IssuedState {
            continuation,
            id: id.to_owned(),
        }))
    }
}

/// Returns the error for a `requestState`.
pub(super) fn refused(why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidParams,
        format!("params.requestState {why}"),
    )
}

fn binding(context: &Context) -> Vec<u8> {
    let (principal, gateway) = (context.principal.id.as_str(), context.gateway.as_str());
    [gateway.as_bytes(), b"\0", principal.as_bytes()].concat()
}

/// Returns a hash of what a repeated call has in common with the first one.
fn request_hash(key: &StateKey, message: &Message) -> String {
    let params = message.body().and_then(Members::read).unwrap_or_default();
    let members = params.0.iter().map(|(name, value)| (&**name, value.get()));
    let mut kept: Vec<(&str, &str)> = members
        .filter(|(name, _)| *name != "_meta" && !is_of_a_retry(name))
        .collect();
    kept.sort_unstable();
    let parts = kept
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    let parts = [message.method().as_bytes()].into_iter().chain(parts);
    key.digest("request", parts).hex(HASH_LEN / 2)
}
