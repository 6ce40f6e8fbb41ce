//! Instructions for a caller without a usable credential.

use serde_json::{Value, json};

use crate::call::{Reply, own};
use crate::credential::CredentialRule;
use crate::error::ErrorKind;
use crate::id::ServerId;
use crate::jsonrpc::{Members, Message, response};
use crate::orchestrator::state::context::Context;
use crate::protocol::{Era, meta};

/// Key of the facts in `_meta`.
const META: &str = "mcp-orchestrator.dev/auth";

/// Returns the machine-readable word for an error kind, or `None` if the error is unrelated to credentials.
pub(crate) fn word(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::CredentialMissing => Some("auth_required"),
        ErrorKind::CredentialExpired
        | ErrorKind::CredentialRejected
        | ErrorKind::CredentialInsufficient => Some("auth_expired"),
        _ => None,
    }
}

/// What the caller must do before the call can succeed.
pub(crate) struct SetupInstructions {
    pub(crate) server: ServerId,
    pub(crate) rule: CredentialRule,
    /// `true` if the result may have structured content in addition to its text.
    pub(super) structured: bool,
    /// The machine-readable facts.
    pub(super) facts: Value,
    /// The human-readable instructions.
    pub(super) text: String,
    /// The kind of the error that stopped the call.
    pub(crate) kind: ErrorKind,
}

impl SetupInstructions {
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
    pub(super) fn url(&self) -> Option<&str> {
        self.facts["url"].as_str()
    }
}

/// How a client is asked to open a URL.
pub(crate) enum ElicitationMode {
    /// With a request in its session.
    Session,
    /// With a result that requires input.
    Result,
}

impl ElicitationMode {
    /// Returns how this call's client can be asked; `None` if it cannot, or was asked already.
    pub(crate) fn of(context: &Context, message: &Message) -> Option<Self> {
        if context.waited {
            return None;
        }
        if let Some(session) = &context.session {
            return session.opens_addresses().then_some(Self::Session);
        }
        let meta = Members::read(message.meta()?)?;
        let capabilities = Members::read(meta.get(meta::CLIENT_CAPABILITIES)?)?;
        let elicitation = Members::read(capabilities.get("elicitation")?)?;
        elicitation.get("url").map(|_| Self::Result)
    }
}
