//! Reads the keys of one mapping and records which were read, so that unused keys can be reported.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::schema::value::Typed;
use crate::config::source::diagnostics::KeyPath;
use crate::config::source::node::{Node, Value};

/// A problem or notice about a key.
#[derive(Debug)]
pub(in crate::config) struct Remark {
    pub(in crate::config) path: KeyPath,
    pub(in crate::config) text: String,
}

/// Reads a mapping key by key.
pub(in crate::config) struct Keys<'t> {
    node: &'t Node,
    pub(in crate::config) path: KeyPath,
    used: BTreeSet<&'t str>,
    /// Problems with the values that were read.
    pub(in crate::config) wrong: Vec<Remark>,
}

impl<'t> Keys<'t> {
    /// Returns the keys of a mapping, or `None` if the node is not a mapping.
    pub(in crate::config) fn new(node: &'t Node, path: KeyPath) -> Option<Self> {
        matches!(node.value, Value::Map(_)).then(|| Self {
            node,
            path,
            used: BTreeSet::new(),
            wrong: Vec::new(),
        })
    }

    /// Returns the value of the first of these keys that has one, and marks it as read.
    pub(in crate::config) fn node(&mut self, names: &[&str]) -> Option<(&'t Node, KeyPath)> {
        let entries = self.node.entries();
        for name in names {
            let found = entries.iter().find(|entry| entry.key == *name);
            if let Some(entry) = found.filter(|entry| !is_null(&entry.node)) {
                self.used.insert(&entry.key);
                return Some((&entry.node, self.path.key(&entry.key)));
            }
        }
        None
    }

    /// Returns `true` if one of these keys has a value. Does not mark it as read.
    pub(in crate::config) fn has(&self, names: &[&str]) -> bool {
        let has = |name: &&str| self.node.get(name).is_some_and(|node| !is_null(node));
        names.iter().any(has)
    }

    /// Marks keys as read.
    pub(in crate::config) fn skip(&mut self, names: &[&str]) {
        let entries = self.node.entries().iter();
        let known = entries.filter(|entry| names.contains(&entry.key.as_str()));
        self.used.extend(known.map(|entry| entry.key.as_str()));
    }

    /// Reads a text, a number or a boolean as text.
    pub(in crate::config) fn text(&mut self, names: &[&str]) -> Option<Typed> {
        let (node, path) = self.node(names)?;
        match &node.value {
            Value::Scalar { text, .. } => Some(Typed(text.clone())),
            _ => self.expected(&path, "a string", node),
        }
    }

    /// Reads a boolean, which may be written as text.
    pub(in crate::config) fn flag(&mut self, names: &[&str]) -> Option<bool> {
        let (node, path) = self.node(names)?;
        let Value::Scalar { text, .. } = &node.value else {
            return self.expected(&path, "true or false", node);
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => self.expected(&path, "true or false", node),
        }
    }

    /// Reads a list of texts; a single text counts as a list of one.
    pub(in crate::config) fn texts(&mut self, names: &[&str]) -> Option<Vec<Typed>> {
        let (node, path) = self.node(names)?;
        match &node.value {
            Value::Scalar { text, .. } => Some(vec![Typed(text.clone())]),
            Value::List(items) => {
                let mut texts = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    match &item.value {
                        Value::Scalar { text, .. } => texts.push(Typed(text.clone())),
                        _ => {
                            let _: Option<()> = self.expected(&path.index(index), "a string", item);
                        }
                    }
                }
                Some(texts)
            }
            _ => self.expected(&path, "a list", node),
        }
    }

    /// Reads texts by name: from a mapping, or from a list of `NAME=VALUE` or of `name` and `value`. Null values are
    /// skipped.
    pub(in crate::config) fn map(&mut self, names: &[&str]) -> Option<BTreeMap<String, Typed>> {
        let (node, path) = self.node(names)?;
        let mut map = BTreeMap::new();
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    match &entry.node.value {
                        Value::Scalar { text, .. } => {
                            map.insert(entry.key.clone(), Typed(text.clone()));
                        }
                        Value::Null | Value::Pruned => {}
                        Value::List(_) | Value::Map(_) => {
                            let path = path.key(&entry.key);
                            let _: Option<()> = self.expected(&path, "a string", &entry.node);
                        }
                    }
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    match pair(item) {
                        Some((name, value)) => {
                            map.insert(name, Typed(value));
                        }
                        None => self.wrong.push(Remark {
                            path: path.index(index),
                            text: "expected NAME=VALUE, or a mapping of `name` and `value`"
                                .to_owned(),
                        }),
                    }
                }
            }
            Value::Scalar { .. } | Value::Null | Value::Pruned => {
                return self.expected(&path, "a mapping", node);
            }
        }
        Some(map)
    }

    /// Returns the keys of a nested mapping.
    pub(in crate::config) fn below(&mut self, names: &[&str]) -> Option<Self> {
        let (node, path) = self.node(names)?;
        match Keys::new(node, path.clone()) {
            Some(keys) => Some(keys),
            None => self.expected(&path, "a mapping", node),
        }
    }

    /// Reads a non-negative number.
    pub(in crate::config) fn number(&mut self, names: &[&str]) -> Option<f64> {
        let (node, path) = self.node(names)?;
        match &node.value {
            Value::Scalar { text, .. } if text.parse::<f64>().is_ok_and(|it| it >= 0.0) => {
                text.parse().ok()
            }
            _ => self.expected(&path, "a number", node),
        }
    }

    /// Returns the keys that have a value and were not read.
    pub(in crate::config) fn rest(&self) -> Vec<&'t str> {
        let entries = self.node.entries().iter();
        let rest = entries.filter(|entry| !is_null(&entry.node));
        rest.map(|entry| entry.key.as_str())
            .filter(|key| !self.used.contains(key))
            .collect()
    }

    fn expected<T>(&mut self, path: &KeyPath, what: &str, found: &Node) -> Option<T> {
        let found = match &found.value {
            Value::Null | Value::Pruned => "nothing",
            Value::Scalar { .. } => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        };
        self.wrong.push(Remark {
            path: path.clone(),
            text: format!("expected {what}, found {found}"),
        });
        None
    }
}

fn is_null(node: &Node) -> bool {
    matches!(node.value, Value::Null | Value::Pruned)
}

/// Parses `NAME=VALUE`, or a mapping of `name` and `value`.
fn pair(node: &Node) -> Option<(String, String)> {
    match &node.value {
        Value::Scalar { text, .. } => {
            let (name, value) = text.split_once('=')?;
            Some((name.trim().to_owned(), value.to_owned()))
        }
        _ => {
            let name = ["name", "key"]
                .iter()
                .find_map(|key| scalar(node.get(key)?))?;
            Some((name, scalar(node.get("value")?).unwrap_or_default()))
        }
    }
}

/// Returns the text of a scalar.
pub(in crate::config) fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    }
}
