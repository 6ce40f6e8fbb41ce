//! Why an override of a tool is invalid.

use crate::limits::{MAX_FIXED_ARGUMENTS_BYTES, MAX_OVERRIDE_TEXT_BYTES, MAX_TOOL_NAME_LEN};

/// Why an override is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OverrideError {
    /// The protocol does not allow the name.
    #[error(
        "tool {tool:?} cannot be named {name:?}: a name has 1 to {MAX_TOOL_NAME_LEN} of the characters A-Z, a-z, 0-9, \
         `_`, `-` and `.`"
    )]
    InvalidName {
        /// The tool's own name.
        tool: String,
        /// The new name.
        name: String,
    },
    /// Two tools would have one name.
    #[error("tool {tool:?} cannot be named {name:?}: tool {other:?} has this name")]
    NameTaken {
        /// The tool's own name.
        tool: String,
        /// The own name of the other tool.
        other: String,
        /// The new name.
        name: String,
    },
    /// A text is too long.
    #[error("the {key} of tool {tool:?} has more than {MAX_OVERRIDE_TEXT_BYTES} bytes")]
    TextTooLong {
        /// The tool's own name.
        tool: String,
        /// `title` or `description`.
        key: &'static str,
    },
    /// The fixed arguments are too large.
    #[error("the arguments of tool {tool:?} have more than {MAX_FIXED_ARGUMENTS_BYTES} bytes")]
    ArgumentsTooLarge {
        /// The tool's own name.
        tool: String,
    },
}

impl OverrideError {
    /// Returns the own name of the tool whose override is invalid.
    pub fn tool(&self) -> &str {
        match self {
            Self::InvalidName { tool, .. }
            | Self::NameTaken { tool, .. }
            | Self::TextTooLong { tool, .. }
            | Self::ArgumentsTooLarge { tool } => tool,
        }
    }

    /// Returns the member of the override that is invalid.
    pub fn key(&self) -> &'static str {
        match self {
            Self::InvalidName { .. } | Self::NameTaken { .. } => "name",
            Self::TextTooLong { key, .. } => key,
            Self::ArgumentsTooLarge { .. } => "arguments",
        }
    }
}
