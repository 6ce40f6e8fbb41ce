//! Errors of requests that are no MCP message, or lack a session.

use mcp_orchestrator_core::jsonrpc::ParseError;
use mcp_orchestrator_core::{Error, ErrorKind};

/// Converts a parse error.
#[expect(clippy::needless_pass_by_value, reason = "passed to map_err")]
pub(crate) fn not_a_message(error: ParseError) -> Error {
    let kind = match error {
        ParseError::Json(_) => ErrorKind::Parse,
        ParseError::Batch | ParseError::Shape(_) => ErrorKind::InvalidRequest,
    };
    Error::new(kind, error.to_string())
}

/// Returns the error of a legacy request without a session.
pub(crate) fn no_session() -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        "the header Mcp-Session-Id is missing",
    )
}
