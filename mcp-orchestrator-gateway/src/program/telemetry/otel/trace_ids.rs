//! Adds the ids of the active trace to log lines, so that a trace leads to its lines.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// The form of a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum LineForm {
    Json,
    Text,
}

/// Formats events as `inner` does, with `trace_id` and `span_id` where a trace is active.
#[derive(Debug)]
pub(super) struct WithTraceIds<F> {
    inner: F,
    form: LineForm,
}

impl<F> WithTraceIds<F> {
    pub(super) fn new(inner: F, form: LineForm) -> Self {
        Self { inner, form }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithTraceIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let active = Context::current();
        let span = active.span();
        let ids = span.span_context();
        if !ids.is_valid() {
            return self.inner.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.inner
            .format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&with_ids(&line, self.form, ids))
    }
}

fn with_ids(line: &str, form: LineForm, ids: &SpanContext) -> String {
    let line = line.trim_end_matches('\n');
    let (trace, span) = (ids.trace_id(), ids.span_id());
    match (form, line.strip_suffix('}')) {
        (LineForm::Json, Some(members)) => {
            format!("{members},\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"}}\n")
        }
        _ => format!("{line} trace_id={trace} span_id={span}\n"),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    #[test]
    fn ids_are_members_of_json_and_fields_of_text() {
        let ids = SpanContext::new(
            TraceId::from(10),
            SpanId::from(11),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        let json = with_ids("{\"message\":\"x\"}\n", LineForm::Json, &ids);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["trace_id"], "0000000000000000000000000000000a");
        assert_eq!(value["span_id"], "000000000000000b");
        let text = with_ids("INFO x\n", LineForm::Text, &ids);
        let expected =
            "INFO x trace_id=0000000000000000000000000000000a span_id=000000000000000b\n";
        assert_eq!(text, expected);
    }
}
