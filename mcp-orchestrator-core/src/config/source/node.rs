//! A YAML or JSON file as a tree that records the position of each key and value.
//!
//! Serde types alone report one error per file and lose the position of a value that has the right type but is invalid.
//! The tree keeps every position, so that all checks can report line and column.

use std::ops::Range;

use crate::config::source::diagnostics::{KeyPath, Position, Step};

/// A value and its position. It contains the file's text, including secrets, so it must never be displayed.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) position: Position,
    /// Its byte range in the file.
    pub(crate) bytes: Range<usize>,
    /// `true` if it is written in flow style.
    pub(crate) flow: bool,
    pub(crate) value: Value,
}

/// The content of a node.
#[derive(Clone)]
pub(crate) enum Value {
    Null,
    /// A text; `plain` means without quotes, so that it may be a number or a boolean.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// An element that was reported as invalid; reading skips it.
    Pruned,
}

/// A key and its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) position: Position,
    /// The byte range of the key in the file.
    pub(crate) bytes: Range<usize>,
    pub(crate) node: Node,
}

/// A flaw in the text or in the keys of a mapping.
pub(crate) struct Flaw {
    pub(crate) position: Position,
    pub(crate) path: KeyPath,
    pub(crate) message: String,
}

impl Node {
    /// Returns the value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
    }

    /// Returns the entries of a mapping, or none for other nodes.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the position to report for a problem with this key's value: that of the value if it is a scalar,
    /// otherwise that of its key. If the key does not exist, the nearest parent key is used.
    pub(crate) fn locate(&self, path: &KeyPath) -> Position {
        self.find(path, |entry| match entry.node.value {
            Value::Scalar { .. } => entry.node.position,
            _ => entry.position,
        })
    }

    /// Returns the position of the key itself.
    pub(crate) fn locate_key(&self, path: &KeyPath) -> Position {
        self.find(path, |entry| entry.position)
    }

    fn find(&self, path: &KeyPath, of_entry: impl Fn(&Entry) -> Position) -> Position {
        let mut node = self;
        let mut position = self.position;
        for step in path.steps() {
            match (step, &node.value) {
                (Step::Key(key), Value::Map(entries)) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == *key) else {
                        break;
                    };
                    position = of_entry(entry);
                    node = &entry.node;
                }
                (Step::Index(index), Value::List(items)) => {
                    let Some(item) = items.get(*index) else { break };
                    position = item.position;
                    node = item;
                }
                _ => break,
            }
        }
        position
    }

    /// Removes a key or an element; later elements keep their indexes. Returns `false` if it does not exist.
    pub(crate) fn prune(&mut self, path: &KeyPath) -> bool {
        let Some((last, way)) = path.steps().split_last() else {
            return false;
        };
        let mut node = self;
        for step in way {
            let next = match (step, &mut node.value) {
                (Step::Key(key), Value::Map(entries)) => entries
                    .iter_mut()
                    .find(|entry| entry.key == *key)
                    .map(|entry| &mut entry.node),
                (Step::Index(index), Value::List(items)) => items.get_mut(*index),
                _ => None,
            };
            let Some(next) = next else { return false };
            node = next;
        }
        match (last, &mut node.value) {
            (Step::Key(key), Value::Map(entries)) => {
                let before = entries.len();
                entries.retain(|entry| entry.key != *key);
                before != entries.len()
            }
            (Step::Index(index), Value::List(items)) if *index < items.len() => {
                items[*index].value = Value::Pruned;
                true
            }
            _ => false,
        }
    }

    /// Converts the node to JSON in which every scalar is a string.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null | Value::Pruned => serde_json::Value::Null,
            Value::Scalar { text, .. } => text.clone().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                let entries = entries.iter();
                let present = entries.filter(|entry| !matches!(entry.node.value, Value::Null));
                present
                    .map(|entry| (entry.key.clone(), entry.node.to_json()))
                    .collect()
            }
        }
    }

    /// Returns the number of nodes including this one, and the depth.
    pub(crate) fn size(&self) -> (usize, usize) {
        let children: Vec<&Self> = match &self.value {
            Value::Null | Value::Scalar { .. } | Value::Pruned => return (1, 1),
            Value::List(items) => items.iter().collect(),
            Value::Map(entries) => entries.iter().map(|entry| &entry.node).collect(),
        };
        let (count, depth) = children.iter().fold((0, 0), |(count, depth), child| {
            let (more, deep) = child.size();
            (count + more, depth.max(deep))
        });
        (count + 1, depth + 1)
    }
}
