//! Verifies that a server runs: not by its cached lists, but by the answer of an instance.

use std::sync::Arc;

use tokio::time::timeout;

use super::call::rule;
use crate::auth::Principal;
use crate::call::own;
use crate::catalog::{ask_for, method_of};
use crate::credential::CredentialRule;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::jsonrpc::{Kind, Members, request};
use crate::orchestrator::forward::unauthorized::unauthorized;
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::{Inner, Orchestrator};
use crate::pool::{Caller, Lease, Spec};
use crate::protocol::{Era, code};
use crate::router::ItemKind;
use crate::runtime::Progress;
use crate::server::OAuthSpec;

impl Orchestrator {
    /// Starts an instance of a server for this principal, unless one runs, and requests its tools. Returns once they
    /// have arrived; lists in the cache do not count.
    ///
    /// # Errors
    /// Why the server cannot be used: it is not configured, lacks a credential, did not start, or did not answer within
    /// its `start_timeout` and `list_timeout`.
    pub async fn probe(&self, principal: &Arc<Principal>, server: &ServerId) -> Result<()> {
        let inner = &self.inner;
        let spec = inner.spec(server)?;
        let context = inner.operator(principal);
        let rule = rule(spec.server.slots.is_empty());
        let probed = inner.probe(&context, &spec, &rule).await;
        let Err(failure) = probed else {
            return Ok(());
        };
        let oauth = spec.server.oauth.as_ref().and_then(OAuthSpec::refusals);
        if oauth.is_some() && failure.kind() == ErrorKind::CredentialRejected {
            // The entry does not say whether the server requires a token; its rejection does.
            let rejected = Some(&*inner.no_credential);
            let found = inner.credential(&context, &spec, &rule, rejected).await;
            if let Err(error) = found
                && error.kind() == ErrorKind::CredentialMissing
            {
                return Err(error);
            }
        }
        Err(unauthorized(&spec, failure))
    }
}

impl Inner {
    async fn probe(&self, context: &Context, spec: &Spec, rule: &CredentialRule) -> Result<()> {
        let server = &spec.server.id;
        let credential = self.credential(context, spec, rule, None).await?;
        let scope = context.scope(&spec.server);
        let lease = self
            .pool
            .acquire(server, &credential, scope, &Progress::unheard())
            .await?;
        let limit = spec.server.limits.list_timeout;
        let late = |_| {
            let text = format!("server {server} started, but did not answer within {limit:?}");
            Error::new(ErrorKind::TimedOut, text).with_server(server)
        };
        timeout(limit, answer(&lease)).await.map_err(late)?
    }
}

/// Requests the description of an instance and its tools.
async fn answer(lease: &Lease) -> Result<()> {
    let caller = Caller::engine(Era::Modern);
    lease.link.hello(&caller).await?;
    let list = own(request("0", method_of(ItemKind::Tool), None));
    let response = ask_for(lease, &caller, list, None).await?;
    if response.kind() != Kind::Error {
        return Ok(());
    }
    let error = response.body().and_then(Members::read).unwrap_or_default();
    if error.get("code") == Some(&code::METHOD_NOT_FOUND.to_string()[..]) {
        // A server with resources or prompts only.
        return Ok(());
    }
    let why = error.get("message").unwrap_or("?");
    let text = format!("{} was refused: {why}", method_of(ItemKind::Tool));
    Err(Error::new(ErrorKind::Protocol, text).with_server(lease.key.server()))
}
