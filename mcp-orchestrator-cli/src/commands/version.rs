//! `version`: prints the version of this program.

use serde_json::json;

use crate::args::Output;
use crate::exit::{Exit, Failure};
use crate::output;

pub(super) fn run(form: Output) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if form == Output::Json {
        output::json(&json!({ "version": version }))?;
    } else {
        output::line(&format!("mcp-orchestrator {version}"))?;
    }
    Ok(Exit::Done)
}
