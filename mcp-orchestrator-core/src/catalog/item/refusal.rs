//! Why an item is left out of a list.

use crate::limits::{MAX_ITEM_BYTES, MAX_ITEM_DEPTH};
use crate::router::TemplateError;

/// Why an item is left out of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is not an object.
    #[error("it is not an object")]
    NotAnObject,
    /// It has a duplicate member; parsers disagree on which one counts.
    #[error("it has a member twice")]
    Twice,
    /// A required member is missing.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// It could not be requested: its name or URI is too long.
    #[error("its {0} is longer than {1} bytes")]
    TooLong(&'static str, usize),
    /// The item as a whole is too large.
    #[error("it is larger than {MAX_ITEM_BYTES} bytes")]
    TooLarge,
    /// It is nested more deeply than clients' parsers accept.
    #[error("it is nested deeper than {MAX_ITEM_DEPTH} levels")]
    TooDeep,
    /// The input schema of a tool is invalid.
    #[error("its inputSchema is not the schema of an object")]
    Schema,
    /// The arguments of a prompt are invalid.
    #[error("its arguments are not a list of objects with a name")]
    Arguments,
    /// A header annotation is invalid; a modern client must not show such a tool.
    #[error("an x-mcp-header of it is invalid")]
    Header,
    /// Matching its template would cost too much.
    #[error("it is {0}")]
    Template(TemplateError),
    /// It repeats an item; the first one is kept.
    #[error("the server lists it twice")]
    Again,
}
