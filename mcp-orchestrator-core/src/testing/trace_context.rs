//! Contract of [`TracePropagator`].

use tracing::Span;

use crate::trace_context::{TraceContext, TracePropagator};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// Verifies a propagator. Call it where a subscriber is installed that makes spans of this crate part of traces, with a
/// sampler that follows the caller.
///
/// # Panics
/// If the contract is violated.
pub fn suite(propagator: &dyn TracePropagator) {
    let state = Some("a=1");
    let caller = TraceContext::new(CALLER, state).expect("it is valid");
    let span = tracing::debug_span!("call");
    propagator.set_parent(&span, &caller);
    let own = propagator.context(&span).expect("it is part of a trace");
    let ids = |context: &TraceContext| {
        let text = context.traceparent();
        (
            text[3..35].to_owned(),
            text[36..52].to_owned(),
            text[53..].to_owned(),
        )
    };
    let ((trace, id, flags), (callers, parent, _)) = (ids(&own), ids(&caller));
    assert_eq!(trace, callers, "a span continues the caller's trace");
    assert_ne!(id, parent, "a span has an id of its own");
    assert_eq!(
        flags, "01",
        "a caller's trace that is sampled stays sampled"
    );
    assert_eq!(own.tracestate(), state, "the caller's state is passed on");
    let again = propagator.context(&span);
    assert_eq!(again, Some(own), "the context of a span does not change");

    let caller = TraceContext::new(NOT_SAMPLED, None).expect("it is valid");
    let span = tracing::debug_span!("call");
    propagator.set_parent(&span, &caller);
    let own = propagator.context(&span).expect("servers are told");
    assert_eq!(ids(&own).0, ids(&caller).0);
    assert_eq!(ids(&own).2, "00", "a trace that is not sampled stays so");

    let none = propagator.context(&Span::none());
    assert_eq!(none, None, "a disabled span is part of no trace");
}
