//! Finds the configuration if the user names no file.

use std::path::{Path, PathBuf};

/// File names looked for in the current folder, in this order.
pub const NAMES: [&str; 4] = [
    "mcp-orchestrator.yaml",
    "mcp-orchestrator.yml",
    ".mcp.json",
    "mcp.json",
];

/// Returns the named files or, if there are none, the first of [`NAMES`] that exists in the current folder.
///
/// # Errors
/// If no file is found; the text explains how to name one.
pub fn config_files(named: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let found = NAMES.iter().map(Path::new).find(|file| file.is_file());
    found.map(|file| vec![file.to_path_buf()]).ok_or_else(|| {
        format!(
            "no configuration in this folder ({})\n  \
             create one with `mcp-orchestrator add NAME -- COMMAND` or `mcp-orchestrator import FILE`, \
             or name one with --config or MCP_ORCHESTRATOR_CONFIG",
            NAMES.join(", ")
        )
    })
}
