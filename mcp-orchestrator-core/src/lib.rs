//! mcp-orchestrator-core
