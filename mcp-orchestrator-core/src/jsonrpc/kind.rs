//! Kinds of messages, and why bytes are not a message.

/// Kind of a message, derived from its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A method and an id: requires a response.
    Request,
    /// A method without an id.
    Notification,
    /// An id and a result.
    Response,
    /// An error, with the id of its request or `null`.
    Error,
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or not UTF-8.
    #[error("not valid JSON: {0}")]
    Json(String),
    /// A batch, which exists only in revision 2025-03-26.
    #[error("a JSON-RPC batch is not allowed here")]
    Batch,
    /// JSON, but not a JSON-RPC 2.0 message.
    #[error("not a JSON-RPC 2.0 message: {0}")]
    Shape(String),
}
