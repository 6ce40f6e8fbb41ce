//! `schema`: prints the JSON Schema of the configuration.

use crate::exit::{Exit, Failure};
use crate::output;

pub(crate) fn run() -> Result<Exit, Failure> {
    output::json(&mcp_orchestrator_core::config::schema())?;
    Ok(Exit::Done)
}
