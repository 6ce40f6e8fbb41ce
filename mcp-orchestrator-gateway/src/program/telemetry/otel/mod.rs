//! Export of traces by OTLP, as the `OTEL_*` variables of the environment say.

mod client;
mod exporter;
mod propagator;
mod trace_ids;

use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_core::trace_context::TracePropagator;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Level;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt};

use self::client::OtlpClient;
use self::exporter::ReportingExporter;
use self::propagator::W3cPropagator;
use self::trace_ids::{LineForm, WithTraceIds};
use super::escape::EscapedFields;
use super::has_color;

/// Maximum time that the last export may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The service's name, unless the environment has another one.
const SERVICE: &str = "mcp-orchestrator-gateway";

/// Exports spans until it is closed.
#[derive(Debug)]
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Returns what continues the traces of callers.
    pub(super) fn propagator() -> Arc<dyn TracePropagator> {
        Arc::new(W3cPropagator)
    }

    /// Exports the spans that are left.
    pub(super) async fn close(self) {
        let close = move || self.0.shutdown_with_timeout(CLOSE_TIMEOUT);
        match tokio::task::spawn_blocking(close).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not exported"),
            Err(_) => tracing::warn!("the last spans were not exported"),
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns `true` if the environment asks for traces: by an endpoint, or by `OTEL_TRACES_EXPORTER=otlp`.
///
/// # Errors
/// If it names an exporter or a protocol that this program does not have.
pub(super) fn is_wanted() -> Result<bool, String> {
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    match variable("OTEL_TRACES_EXPORTER").as_deref() {
        Some("none") => Ok(false),
        Some("otlp") => Ok(true),
        Some(other) => Err(format!(
            "OTEL_TRACES_EXPORTER={other:?} is not supported: use \"otlp\" or \"none\""
        )),
        None => Ok([
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ]
        .into_iter()
        .any(|name| variable(name).is_some())),
    }
}

fn protocol() -> Result<Protocol, String> {
    let named = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL");
    let named = named.or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
    match named.as_deref() {
        None | Some("http/protobuf") => Ok(Protocol::HttpBinary),
        Some("grpc") => Ok(Protocol::Grpc),
        Some(other) => Err(format!(
            "OTEL_EXPORTER_OTLP_PROTOCOL={other:?} is not supported: use \"http/protobuf\" or \"grpc\""
        )),
    }
}

fn timeout() -> Option<Duration> {
    let named = variable("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT");
    let named = named.or_else(|| variable("OTEL_EXPORTER_OTLP_TIMEOUT"));
    let millis = named.and_then(|value| value.parse().ok());
    millis.map(Duration::from_millis)
}

fn exporter() -> Result<SpanExporter, String> {
    let built = match protocol()? {
        Protocol::Grpc => SpanExporter::builder().with_tonic().build(),
        _ => {
            let builder = SpanExporter::builder().with_http();
            builder.with_http_client(OtlpClient::new(timeout())).build()
        }
    };
    built.map_err(|error| format!("cannot export traces: {error}"))
}

/// Installs a subscriber that writes log lines and exports spans. Must be called within a tokio runtime.
///
/// # Errors
/// If a variable of the environment is invalid.
pub(super) fn install(filter: EnvFilter, json: bool) -> Result<Traces, String> {
    let resource = Resource::builder();
    let resource = match variable("OTEL_SERVICE_NAME") {
        Some(_) => resource,
        None => resource.with_service_name(SERVICE),
    };
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(ReportingExporter::new(exporter()?))
        .with_resource(resource.with_attribute(version).build())
        .build();
    // Only spans of calls: events are log lines, and spans of the exporter itself would be exported forever.
    let is_ours = |meta: &tracing::Metadata<'_>| {
        meta.is_span()
            && *meta.level() <= Level::DEBUG
            && meta.target().starts_with("mcp_orchestrator")
    };
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SERVICE))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(is_ours));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = if json {
        let lines = lines.json().flatten_event(true);
        let lines = lines.map_event_format(|format| WithTraceIds::new(format, LineForm::Json));
        lines.fmt_fields(JsonFields::new()).boxed()
    } else {
        let lines = lines.with_ansi(has_color()).fmt_fields(EscapedFields);
        lines
            .map_event_format(|format| WithTraceIds::new(format, LineForm::Text))
            .boxed()
    };
    let subscriber = Registry::default()
        .with(lines.with_filter(filter))
        .with(spans);
    subscriber.try_init().map_err(|error| error.to_string())?;
    Ok(Traces(provider))
}
