//! Log lines and traces of the programs. A library must not install a subscriber; a program does it once.

mod escape;
#[cfg(feature = "otel")]
mod otel;

use mcp_orchestrator_core::Orchestrator;
use mcp_orchestrator_core::config::{LogFormat, LogSettings};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use self::escape::EscapedFields;
use super::args::{GatewayArgs, LogForm};

/// What exports traces; inactive if the environment does not ask for traces.
#[derive(Debug, Default)]
pub struct Telemetry {
    #[cfg(feature = "otel")]
    traces: Option<otel::Traces>,
}

impl Telemetry {
    /// Continues the traces of callers in the calls of this orchestrator.
    pub(super) fn attach(&self, orchestrator: &Orchestrator) {
        #[cfg(feature = "otel")]
        if self.traces.is_some() {
            orchestrator.set_trace_propagator(otel::Traces::propagator());
        }
        #[cfg(not(feature = "otel"))]
        let _ = orchestrator;
    }

    /// Exports the spans that are left, for a limited time.
    pub(super) async fn close(self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            traces.close().await;
        }
    }
}

/// Installs the log subscriber of this process, which writes to standard error, and the export of traces if the
/// environment asks for it.
///
/// # Errors
/// If the filter or a variable of OpenTelemetry is invalid.
pub fn install(args: &GatewayArgs, settings: &LogSettings) -> Result<Telemetry, String> {
    let level = args.log_level.as_deref().unwrap_or(&settings.level);
    let filter = EnvFilter::builder()
        .parse(level)
        .map_err(|error| format!("log level {level:?}: {error}"))?;
    let json = match args.log_format {
        Some(form) => form == LogForm::Json,
        None => settings.format == LogFormat::Json,
    };
    #[cfg(feature = "otel")]
    if otel::is_wanted()? {
        let traces = otel::install(filter, json)?;
        log_panics();
        return Ok(Telemetry {
            traces: Some(traces),
        });
    }
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let lines = lines.with_span_events(FmtSpan::NONE).with_target(false);
    let installed = if json {
        lines.json().flatten_event(true).try_init()
    } else {
        let lines = lines.fmt_fields(EscapedFields);
        lines.with_ansi(has_color()).try_init()
    };
    installed.map_err(|error| error.to_string())?;
    log_panics();
    Ok(Telemetry::default())
}

/// Returns `true` if lines may be coloured: on a terminal, unless `NO_COLOR` is not empty.
fn has_color() -> bool {
    use std::io::IsTerminal as _;
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

/// Logs where a panic came from. Its message may hold anything, so it is not logged.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or_default();
        match panic.location() {
            Some(location) => tracing::error!(%location, thread, "panicked: this is a defect"),
            None => tracing::error!(thread, "panicked: this is a defect"),
        }
    }));
}
