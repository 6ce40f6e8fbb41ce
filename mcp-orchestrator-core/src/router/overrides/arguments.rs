//! Arguments of a tool that a gateway hides from callers and sets on every call.

use serde_json::value::RawValue;

use crate::jsonrpc::{is_taken_for, quote};

/// Arguments with fixed values, in order. A value is JSON text and is sent as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FixedArguments(Vec<(String, String)>);

impl FixedArguments {
    /// Adds an argument, or replaces its value.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: &RawValue) -> Self {
        let (name, value) = (name.into(), value.get().to_owned());
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
        self
    }

    /// Returns `true` if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// Returns the value of an argument as JSON.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter();
        let found = all.find(|(known, _)| known == name);
        found.map(|(_, value)| &**value)
    }

    /// Returns the arguments as members of a JSON object, without its braces.
    pub(crate) fn members(&self) -> String {
        let members = self.0.iter();
        let members = members.map(|(name, value)| format!("{}:{value}", quote(name)));
        members.collect::<Vec<_>>().join(",")
    }

    /// Returns the argument that some parser takes this key of an object for: parsers exist that ignore the case of
    /// keys.
    pub(crate) fn taken_for(&self, key: &str) -> Option<&str> {
        self.names().find(|name| is_taken_for(key.as_bytes(), name))
    }
}
