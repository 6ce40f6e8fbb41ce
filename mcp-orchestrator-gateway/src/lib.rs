//! mcp-orchestrator-gateway
