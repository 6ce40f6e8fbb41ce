//! Answers a caller with a missing, expired or rejected credential: a tool result with instructions, an elicitation
//! that opens the page to set it up, or error data if the method has no such result.

use std::sync::Arc;

use serde_json::{Value, json};

use super::instructions::{ElicitationMode, SetupInstructions, word};
use crate::call::Reply;
use crate::credential::{CredentialRule, LinkReason, Owner};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::jsonrpc::{Message, raw};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::server::ServerSpec;

impl Inner {
    /// Answers a tool call that found no usable credential. Returns `error` unchanged if it has another cause.
    pub(crate) async fn unconnected(
        self: &Arc<Self>,
        context: &Context,
        (server, rule): (&ServerId, &CredentialRule),
        (message, tool): (&Message, &str),
        error: Error,
    ) -> Result<Reply> {
        let Some(facts) = self.facts(context, server, rule, &error).await else {
            return Err(error);
        };
        let unconnected = SetupInstructions {
            server: server.clone(),
            rule: rule.clone(),
            // Clients validate structured content against the tool's output schema, even in an error result.
            structured: !self.catalog.has_output_schema(server, tool),
            text: text(&facts, &error),
            kind: error.kind(),
            facts,
        };
        let asking = ElicitationMode::of(context, message);
        if let (Some(asking), Some(url)) = (asking, unconnected.url()) {
            let url = url.to_owned();
            return Ok(self.ask(context, message, unconnected, (asking, url)));
        }
        Ok(unconnected.result(context, message))
    }

    /// Adds the facts to the error as data, for requests other than tool calls.
    pub(crate) async fn with_auth_data(
        &self,
        context: &Context,
        server: &ServerId,
        rule: &CredentialRule,
        error: Error,
    ) -> Error {
        match self.facts(context, server, rule, &error).await {
            Some(facts) => error.with_data(raw(&facts)),
            None => error,
        }
    }

    /// Returns the machine-readable facts, or `None` if setting up a credential cannot resolve the error.
    async fn facts(
        &self,
        context: &Context,
        server: &ServerId,
        rule: &CredentialRule,
        error: &Error,
    ) -> Option<Value> {
        let word = word(error.kind())?;
        let spec = self.server_spec(server)?;
        let owner = owner(context, &spec, rule);
        let mut facts = json!({ "error": word, "server": server.as_str() });
        if let Some(owner) = &owner {
            facts["owner"] = owner.to_string().into();
            if let Some(url) = self.link(context, (server, owner), error.kind()).await {
                facts["url"] = url.into();
            }
        }
        if let Some(program) = &self.install_with {
            let verb = if word == "auth_expired" {
                "rotate"
            } else {
                "install"
            };
            let flag = match &owner {
                Some(Owner::User(_)) | None => String::new(),
                Some(owner) => format!(" --owner {owner}"),
            };
            facts["command"] = format!("{program} {verb} {server}{flag}").into();
        }
        Some(facts)
    }

    /// Returns the URL of the page to set up the credential, if there is a page and this caller may use it.
    async fn link(
        &self,
        context: &Context,
        of: (&ServerId, &Owner),
        kind: ErrorKind,
    ) -> Option<String> {
        let links = self.links.as_ref()?;
        let why = match kind {
            ErrorKind::CredentialMissing => LinkReason::Missing,
            _ => LinkReason::Expired,
        };
        let offered = links.offer(&context.principal, of, why).await;
        offered.unwrap_or_else(|error| {
            // The facts name the command as an alternative.
            tracing::error!(server = %of.0, %error, "no link can be made");
            None
        })
    }

    /// Returns the server if it has slots. Without slots, no credential can be installed for it.
    fn server_spec(&self, server: &ServerId) -> Option<Arc<ServerSpec>> {
        let server = self.pool.server(server)?;
        let spec = Arc::clone(&server.spec.load().server);
        (!spec.slots.is_empty()).then_some(spec)
    }
}

/// Returns the owner to install a credential for: the first owner of the rule that the server allows.
fn owner(context: &Context, spec: &ServerSpec, rule: &CredentialRule) -> Option<Owner> {
    let mut owners = rule.owners(&context.principal);
    owners.find(|owner| spec.install.contains(&owner.kind()))
}

fn text(facts: &Value, error: &Error) -> String {
    let word = |name: &str| facts[name].as_str().unwrap_or_default();
    let why = match word("error") {
        "auth_expired" => format!("Authentication has expired: {error}."),
        _ => format!("Authentication is required: {error}."),
    };
    let how = match (word("url"), word("command")) {
        ("", "") => return why,
        ("", command) => format!("run `{command}`"),
        (url, "") => format!("open {url}"),
        (url, command) => format!("open {url} or run `{command}`"),
    };
    match word("owner") {
        "" => format!("{why} To set it up, {how}, then call again."),
        owner => format!("{why} To set it up for {owner}, {how}, then call again."),
    }
}
