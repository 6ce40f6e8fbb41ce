//! Overrides of tools: what a gateway changes in the definitions of a server's tools, and in calls of them.
//!
//! Lists are cached per server and shared by all gateways, so an override is applied where a view shows a tool, and where
//! a route leads to it. Both use the same table, in which the server's own names and the shown names correspond one to
//! one: a name that a renamed tool has taken never refers to another tool.

mod arguments;
mod error;

use std::sync::Arc;

use foldhash::HashMap;

pub use self::arguments::FixedArguments;
pub use self::error::OverrideError;
use crate::limits::{MAX_FIXED_ARGUMENTS_BYTES, MAX_OVERRIDE_TEXT_BYTES, MAX_TOOL_NAME_LEN};

/// What a gateway changes of one tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolOverride {
    /// The name that callers see, without the prefix of the server. The tool's own name is then unknown to callers.
    pub name: Option<String>,
    /// Replaces `title`, and `annotations.title` if the tool has one.
    pub title: Option<String>,
    /// Replaces `description`.
    pub description: Option<String>,
    /// Arguments that are hidden from callers and set on every call.
    pub arguments: FixedArguments,
}

/// The overrides of one server's tools in a gateway, by the server's own names.
///
/// A server without overrides costs one check. Copies share their content.
///
/// ```
/// use mcp_orchestrator_core::router::{ToolOverride, ToolOverrides};
///
/// let renamed = ToolOverride {
///     name: Some("find_issue".into()),
///     ..ToolOverride::default()
/// };
/// let overrides = ToolOverrides::new([("search", renamed)]).expect("valid overrides");
/// assert_eq!(overrides.shown("search"), Some("find_issue"));
/// assert_eq!(overrides.own("find_issue"), Some("search"));
/// assert_eq!(overrides.own("search"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolOverrides(Option<Arc<Table>>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    by_own: HashMap<String, Arc<ToolOverride>>,
    /// The own names of renamed tools, by their new names.
    renamed: HashMap<String, String>,
}

impl ToolOverrides {
    /// Creates the overrides of the tools with these own names. The last one for a tool replaces others.
    ///
    /// # Errors
    /// Every override that is invalid, and every name that two tools would have.
    pub fn new<N: Into<String>>(
        overrides: impl IntoIterator<Item = (N, ToolOverride)>,
    ) -> Result<Self, Vec<OverrideError>> {
        let overrides = overrides.into_iter();
        let mut table = Table {
            by_own: overrides
                .map(|(tool, change)| (tool.into(), Arc::new(change)))
                .collect(),
            renamed: HashMap::default(),
        };
        let (mut errors, mut renamed) = (Vec::new(), HashMap::default());
        for (tool, change) in table.sorted() {
            errors.extend(faults(tool, change));
            let Some(name) = new_name(tool, change) else {
                continue;
            };
            let keeps = |other: &Arc<ToolOverride>| new_name(name, other).is_none();
            let other = match renamed.get(name) {
                None if table.by_own.get(name).is_some_and(keeps) => Some(name.to_owned()),
                other => other.cloned(),
            };
            match other {
                Some(other) => errors.push(OverrideError::NameTaken {
                    tool: tool.to_owned(),
                    other,
                    name: name.to_owned(),
                }),
                None => drop(renamed.insert(name.to_owned(), tool.to_owned())),
            }
        }
        table.renamed = renamed;
        match errors.is_empty() {
            true if table.by_own.is_empty() => Ok(Self(None)),
            true => Ok(Self(Some(Arc::new(table)))),
            false => Err(errors),
        }
    }

    /// Returns `true` if no tool is changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the override of the tool with this own name.
    pub fn get(&self, own: &str) -> Option<&Arc<ToolOverride>> {
        self.0.as_ref()?.by_own.get(own)
    }

    /// Returns the name that callers see of the tool with this own name, without a prefix. Returns `None` if another tool
    /// has been renamed to it, so that this one cannot be shown.
    pub fn shown<'a>(&'a self, own: &'a str) -> Option<&'a str> {
        let Some(table) = &self.0 else {
            return Some(own);
        };
        let change = table.by_own.get(own);
        match change.and_then(|change| new_name(own, change)) {
            None if table.renamed.contains_key(own) => None,
            None => Some(own),
            renamed => renamed,
        }
    }

    /// Returns the own name of the tool that callers see under this name. Returns `None` for the own name of a renamed
    /// tool.
    pub fn own<'a>(&'a self, shown: &'a str) -> Option<&'a str> {
        let Some(table) = &self.0 else {
            return Some(shown);
        };
        match table.renamed.get(shown) {
            Some(own) => Some(own),
            None => (self.shown(shown) == Some(shown)).then_some(shown),
        }
    }

    /// Returns the own names of the tools that are changed, in alphabetical order, with their overrides.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<ToolOverride>)> {
        let sorted = self.0.as_ref().map(|table| table.sorted());
        sorted.unwrap_or_default().into_iter()
    }

    /// Returns the new and the own names of renamed tools.
    pub(super) fn renamed(&self) -> impl Iterator<Item = (&str, &str)> {
        let tables = self.0.iter();
        tables.flat_map(|table| table.renamed.iter().map(|(new, own)| (&**new, &**own)))
    }
}

impl Table {
    fn sorted(&self) -> Vec<(&str, &Arc<ToolOverride>)> {
        let all = self.by_own.iter();
        let mut all: Vec<_> = all.map(|(own, change)| (&**own, change)).collect();
        all.sort_by_key(|(own, _)| *own);
        all
    }
}

/// Returns the name that an override gives a tool, if it differs from the tool's own.
fn new_name<'a>(own: &str, change: &'a ToolOverride) -> Option<&'a str> {
    change.name.as_deref().filter(|name| *name != own)
}

fn faults(tool: &str, change: &ToolOverride) -> Vec<OverrideError> {
    let mut found = Vec::new();
    let tool = || tool.to_owned();
    if let Some(name) = &change.name
        && !is_valid_name(name)
    {
        found.push(OverrideError::InvalidName {
            tool: tool(),
            name: name.clone(),
        });
    }
    let texts = [
        ("title", &change.title),
        ("description", &change.description),
    ];
    for (key, text) in texts {
        let is_long = |text: &String| text.len() > MAX_OVERRIDE_TEXT_BYTES;
        if text.as_ref().is_some_and(is_long) {
            found.push(OverrideError::TextTooLong { tool: tool(), key });
        }
    }
    if change.arguments.members().len() > MAX_FIXED_ARGUMENTS_BYTES {
        found.push(OverrideError::ArgumentsTooLarge { tool: tool() });
    }
    found
}

/// Returns `true` for a name that the protocol allows for tools.
fn is_valid_name(name: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=MAX_TOOL_NAME_LEN).contains(&name.len()) && name.bytes().all(is_valid)
}

#[cfg(test)]
mod tests;
