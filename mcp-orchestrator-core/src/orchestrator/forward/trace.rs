//! Spans of calls, with the attributes of OpenTelemetry's semantic conventions for MCP and GenAI tools.
//!
//! Every function here returns at once if the span is disabled, or if no propagator is set.

use http::HeaderMap;
use tracing::{Span, field};

use crate::call::Reply;
use crate::error::Result;
use crate::jsonrpc::{Message, text};
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::{Inner, Orchestrator};
use crate::pool::{Lease, Link};
use crate::protocol::method;
use crate::server::ServerSpec;
use crate::trace_context::{TraceContext, TracePropagator};

/// Maximum length of an attribute that a client chooses. A longer one is truncated.
const MAX_VALUE_LEN: usize = 200;

impl Orchestrator {
    /// Sets what continues the traces of callers here and at the servers; later calls have no effect. Without it, a
    /// client's trace context passes through unchanged.
    pub fn set_trace_propagator(&self, propagator: std::sync::Arc<dyn TracePropagator>) {
        let _ = self.inner.propagator.set(propagator);
    }

    /// Returns `true` if traces are continued.
    pub fn has_trace_propagator(&self) -> bool {
        self.inner.propagator.get().is_some()
    }
}

/// Returns the span of a call.
pub(in crate::orchestrator) fn call_span(context: &Context, message: &Message) -> Span {
    tracing::debug_span!(
        "call",
        otel.kind = "server",
        otel.name = field::Empty,
        otel.status_code = field::Empty,
        mcp.method.name = shortened(message.method()),
        mcp.session.id = field::Empty,
        jsonrpc.request.id = field::Empty,
        gen_ai.operation.name = field::Empty,
        gen_ai.tool.name = field::Empty,
        gen_ai.prompt.name = field::Empty,
        "error.type" = field::Empty,
        gateway = %context.gateway,
        principal = %context.principal.id,
    )
}

/// Returns the span of the resolution of a credential, if the server has any.
pub(in crate::orchestrator) fn credential_span(server: &ServerSpec) -> Option<Span> {
    let resolves = !server.slots.is_empty();
    resolves.then(|| tracing::debug_span!("credential", server.id = %server.id))
}

impl Inner {
    /// Adds the attributes of a call to its span, and makes the caller's span its parent.
    pub(in crate::orchestrator) fn trace_call(
        &self,
        span: &Span,
        context: &Context,
        message: &Message,
        headers: &HeaderMap,
    ) {
        if span.is_disabled() {
            return;
        }
        describe(span, message, message.name().and_then(text).as_deref());
        if let Some(session) = &context.session {
            // The session's tag: its id could be used by others where callers are not authenticated.
            span.record("mcp.session.id", field::display(&session.scope));
        }
        let Some(propagator) = self.propagator.get() else {
            return;
        };
        let in_meta = message.meta().and_then(TraceContext::from_meta);
        if let Some(caller) = in_meta.or_else(|| TraceContext::from_headers(headers)) {
            propagator.set_parent(span, &caller);
        }
    }

    /// Begins the span of a request to a server. `None`: traces are not continued.
    pub(in crate::orchestrator) fn trace_upstream(
        &self,
        message: &Message,
        name: Option<&str>,
        lease: &Lease,
    ) -> Option<Box<UpstreamTrace>> {
        let propagator = self.propagator.get()?;
        let span = tracing::debug_span!(
            "upstream",
            otel.kind = "client",
            otel.name = field::Empty,
            otel.status_code = field::Empty,
            mcp.method.name = shortened(message.method()),
            jsonrpc.request.id = field::Empty,
            gen_ai.operation.name = field::Empty,
            gen_ai.tool.name = field::Empty,
            gen_ai.prompt.name = field::Empty,
            "error.type" = field::Empty,
            network.transport = match lease.link {
                Link::Pipe(_) => "pipe",
                Link::Http(_) => "tcp",
            },
            server.id = %lease.key.server(),
            instance.name = %lease.key,
        );
        // Before its context is asked for, which may fix its name.
        describe(&span, message, name);
        let context = propagator.context(&span)?;
        Some(Box::new(UpstreamTrace { span, context }))
    }
}

/// The trace of a request to a server.
pub(in crate::orchestrator) struct UpstreamTrace {
    pub(in crate::orchestrator) span: Span,
    pub(in crate::orchestrator) context: TraceContext,
}

/// Records which request a span stands for.
fn describe(span: &Span, message: &Message, name: Option<&str>) {
    let name = name.map(shortened);
    if let Some(id) = message.id() {
        span.record("jsonrpc.request.id", shortened(id.trim_matches('"')));
    }
    match (message.method(), name) {
        (method @ method::TOOLS_CALL, Some(name)) => {
            span.record("gen_ai.operation.name", "execute_tool");
            span.record("gen_ai.tool.name", name);
            span.record("otel.name", field::display(format_args!("{method} {name}")));
        }
        (method @ method::PROMPTS_GET, Some(name)) => {
            span.record("gen_ai.prompt.name", name);
            span.record("otel.name", field::display(format_args!("{method} {name}")));
        }
        (method, _) => {
            span.record("otel.name", shortened(method));
        }
    }
}

/// Records how a request ended.
pub(in crate::orchestrator) fn record_outcome(span: &Span, reply: &Result<Reply>) {
    if span.is_disabled() {
        return;
    }
    match reply {
        Ok(reply) if reply.is_error() => span.record("error.type", "server_error"),
        Ok(_) => return,
        Err(error) => span.record("error.type", error.kind().word()),
    };
    span.record("otel.status_code", "ERROR");
}

fn shortened(text: &str) -> &str {
    let end = text.floor_char_boundary(MAX_VALUE_LEN);
    &text[..end]
}
