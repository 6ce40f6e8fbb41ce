//! Continues traces of callers, by the rules of W3C Trace Context.

use std::str::FromStr as _;

use mcp_orchestrator_core::trace_context::{TraceContext, TracePropagator};
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Reads and writes the context of spans.
#[derive(Debug)]
pub(super) struct W3cPropagator;

impl TracePropagator for W3cPropagator {
    fn set_parent(&self, span: &Span, caller: &TraceContext) {
        if let Some(remote) = remote(caller) {
            // It fails only if the span is not exported.
            let _ = span.set_parent(Context::new().with_remote_span_context(remote));
        }
    }

    fn context(&self, span: &Span) -> Option<TraceContext> {
        let context = span.context();
        let span = context.span();
        let found = span.span_context();
        if !found.is_valid() {
            return None;
        }
        let traceparent = format!(
            "00-{}-{}-{:02x}",
            found.trace_id(),
            found.span_id(),
            u8::from(found.is_sampled())
        );
        TraceContext::new(&traceparent, Some(&found.trace_state().header()))
    }
}

fn remote(caller: &TraceContext) -> Option<SpanContext> {
    let mut parts = caller.traceparent().split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    let state = caller.tracestate().map(TraceState::from_str);
    let state = state.and_then(Result::ok).unwrap_or_default();
    Some(SpanContext::new(
        trace,
        span,
        TraceFlags::new(flags) & TraceFlags::SAMPLED,
        true,
        state,
    ))
}

#[cfg(test)]
mod tests {
    use mcp_orchestrator_core::testing::trace_context::suite;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn contract_of_propagators_holds() {
        let provider = SdkTracerProvider::builder().build();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = Registry::default().with(spans);
        tracing::subscriber::with_default(subscriber, || suite(&W3cPropagator));
    }

    #[test]
    fn context_of_a_caller_is_read() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let caller = TraceContext::new(parent, Some("a=1,b=2")).unwrap();
        let found = remote(&caller).unwrap();
        assert_eq!(found.trace_id().to_string(), &parent[3..35]);
        assert_eq!(found.span_id().to_string(), &parent[36..52]);
        assert!(found.is_sampled() && found.is_remote());
        assert_eq!(found.trace_state().header(), "a=1,b=2");
    }
}
