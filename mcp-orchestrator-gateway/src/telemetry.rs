//! Log lines of the programs. A library must not install a subscriber; a program does it once.

use mcp_orchestrator_core::config::{LogFormat, LogSettings};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::args::{GatewayArgs, LogForm};

/// Installs the subscriber of this process: lines on standard error.
///
/// # Errors
/// Where the filter cannot be read.
pub fn install(args: &GatewayArgs, settings: &LogSettings) -> Result<(), String> {
    let level = args.log_level.as_deref().unwrap_or(&settings.level);
    let filter = EnvFilter::builder()
        .parse(level)
        .map_err(|error| format!("log level {level:?}: {error}"))?;
    let json = match args.log_format {
        Some(form) => form == LogForm::Json,
        None => settings.format == LogFormat::Json,
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let lines = lines.with_span_events(FmtSpan::NONE).with_target(false);
    let installed = if json {
        lines.json().flatten_event(true).try_init()
    } else {
        use std::io::IsTerminal as _;
        lines.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    installed.map_err(|error| error.to_string())
}
