//! Answers a caller with a missing, expired or rejected credential: a tool result with instructions, an elicitation
//! that opens the page to set it up, or error data if the method has no such result.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Inner;
use super::context::Context;
use super::parked::Asking;
use crate::call::{Reply, own};
use crate::credential::{CredentialRule, LinkReason, Owner};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::jsonrpc::{Message, raw, response};
use crate::protocol::Era;
use crate::server::ServerSpec;

/// Key of the facts in `_meta`.
const META: &str = "mcp-orchestrator.dev/auth";

/// Returns the machine-readable word for an error kind, or `None` if the error is unrelated to credentials.
pub(super) fn word(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::CredentialMissing => Some("auth_required"),
        ErrorKind::CredentialExpired
        | ErrorKind::CredentialRejected
        | ErrorKind::CredentialInsufficient => Some("auth_expired"),
        _ => None,
    }
}

/// What the caller must do before the call can succeed.
pub(super) struct Unconnected {
    pub(super) server: ServerId,
    pub(super) rule: CredentialRule,
    /// `true` if the result may have structured content in addition to its text.
    structured: bool,
    /// The machine-readable facts.
    facts: Value,
    /// The human-readable instructions.
    text: String,
    /// The kind of the error that stopped the call.
    pub(super) kind: ErrorKind,
}

impl Inner {
    /// Answers a tool call that found no usable credential. Returns `error` unchanged if it has another cause.
    pub(super) async fn unconnected(
        self: &Arc<Self>,
        context: &Context,
        (server, rule): (&ServerId, &CredentialRule),
        (message, tool): (&Message, &str),
        error: Error,
    ) -> Result<Reply> {
        let Some(facts) = self.facts(context, server, rule, &error).await else {
            return Err(error);
        };
        let unconnected = Unconnected {
            server: server.clone(),
            rule: rule.clone(),
            // Clients validate structured content against the tool's output schema, even in an error result.
            structured: !self.catalog.has_output_schema(server, tool),
            text: text(&facts, &error),
            kind: error.kind(),
            facts,
        };
        let asking = Asking::of(context, message);
        if let (Some(asking), Some(url)) = (asking, unconnected.url()) {
            let url = url.to_owned();
            return Ok(self.ask(context, message, unconnected, (asking, url)));
        }
        Ok(unconnected.result(context, message))
    }

    /// Adds the facts to the error as data, for requests other than tool calls.
    pub(super) async fn with_auth_data(
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

impl Unconnected {
    /// Builds the tool result.
    pub(super) fn result(&self, context: &Context, message: &Message) -> Reply {
        self.tell_trail(context);
        let mut result = json!({
            "content": [{ "type": "text", "text": self.text }],
            "isError": true,
            "_meta": { META: &self.facts },
        });
        if self.structured {
            result["structuredContent"] = self.facts.clone();
        }
        if context.era() == Era::Modern {
            result["resultType"] = "complete".into();
        }
        let id = message.id().unwrap_or("null");
        Reply::ready(own(response(id, &result.to_string())))
    }

    /// Records in the audit event that the call was not carried out.
    pub(super) fn tell_trail(&self, context: &Context) {
        if let Some(trail) = &context.trail {
            trail.failed(self.kind);
        }
    }

    /// Returns the URL of the page, if any.
    fn url(&self) -> Option<&str> {
        self.facts["url"].as_str()
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
