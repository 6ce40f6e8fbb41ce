//! Which configuration is meant where none is named.

use std::path::{Path, PathBuf};

/// What is looked for in the current folder, in this order.
pub const NAMES: [&str; 4] = [
    "mcp-orchestrator.yaml",
    "mcp-orchestrator.yml",
    ".mcp.json",
    "mcp.json",
];

/// The files that are named, else the first of [`NAMES`] that stands in the current folder.
///
/// # Errors
/// There is none; the text says how to name one.
pub fn config_files(named: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let found = NAMES.iter().map(Path::new).find(|file| file.is_file());
    found.map(|file| vec![file.to_path_buf()]).ok_or_else(|| {
        format!(
            "no configuration: name one by --config or MCP_ORCHESTRATOR_CONFIG, or go to a folder with {}",
            NAMES.join(", ")
        )
    })
}
