//! Requirements of a server that rejected a call without a credential, although its entry mentions none.

use crate::credential::Revision;
use crate::error::{Error, ErrorKind};
use crate::id::ServerId;
use crate::orchestrator::state::Inner;
use crate::pool::Spec;
use crate::server::OAuthSpec;

impl Inner {
    /// Describes the sign-in that a server requires that rejected a call without a token, if no user has signed in yet.
    pub(crate) fn wanted_sign_in(&self, id: &ServerId) -> Option<String> {
        let spec = self.spec(id).ok()?;
        let oauth = spec.server.oauth.as_ref();
        let refusals = oauth.and_then(OAuthSpec::refusals)?;
        if let Some(why) = refusals.obstacle() {
            let text = "it wants a token by OAuth, and nobody can sign in";
            return Some(format!("{text}: {why}"));
        }
        let mut keys = self.seen.of(id).into_iter();
        if !refusals.is_recent() || keys.any(|key| *key.revision() != Revision::none()) {
            return None;
        }
        let text = "it wants a token by OAuth: sign in with `mcp-orchestrator install";
        Some(format!("{text} {id}`"))
    }
}

/// Adds what the server requires to the rejection of a call without a credential, if its entry does not say so.
pub(crate) fn unauthorized(spec: &Spec, refused: Error) -> Error {
    if refused.kind() != ErrorKind::CredentialRejected {
        return refused;
    }
    let oauth = spec.server.oauth.as_ref();
    let Some(refusals) = oauth.and_then(OAuthSpec::refusals) else {
        return refused;
    };
    let next = match refusals.obstacle() {
        Some(why) => format!("it wants a token by OAuth, and nobody can sign in: {why}"),
        None => "give it a credential by `headers`, `credentials` or `oauth`".to_owned(),
    };
    let text = format!("{refused}; {next}");
    Error::new(refused.kind(), text).with_server(&spec.server.id)
}
