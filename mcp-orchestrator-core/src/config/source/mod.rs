//! From text to a tree with positions: reading, parsing, deserializing, and the variables in texts.

pub(crate) mod deserialize;
pub(crate) mod diagnostics;
mod exact_json;
pub(crate) mod interpolate;
pub(crate) mod jsonc;
pub(crate) mod node;
pub(crate) mod parsed_file;
pub(crate) mod read;
pub(crate) mod suggest;
pub(crate) mod toml;
pub(crate) mod yaml;
