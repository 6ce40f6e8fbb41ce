//! Import circles that exist. The lists may only shrink.

/// For each crate the files of each circle, below the crate's `src`, sorted.
pub(crate) const KNOWN: &[(&str, &[&[&str]])] = &[
    ("mcp-orchestrator-core", &[]),
    ("mcp-orchestrator-gateway", &[]),
    ("mcp-orchestrator-cli", &[]),
];
