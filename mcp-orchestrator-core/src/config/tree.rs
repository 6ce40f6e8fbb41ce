//! A YAML or JSON file as a tree that knows where each key and value stands.
//!
//! Serde types alone answer one error per file and lose the place of a value that is well typed but wrong. The tree
//! keeps every place, so that all checks can name line and column.

use std::ops::Range;

use super::problem::{KeyPath, Position, Step};

/// A value and its place. It holds what the file says, secrets too, so it is never shown.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) position: Position,
    /// Where it stands in the file's text, in bytes.
    pub(super) bytes: Range<usize>,
    /// Whether it is written in brackets.
    pub(super) flow: bool,
    pub(super) value: Value,
}

/// What a node is.
#[derive(Clone)]
pub(super) enum Value {
    Null,
    /// A text; `plain`: without quotes, so that it may be meant as a number or a truth value.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Was wrong and has been told: an element that reading passes over.
    Pruned,
}

/// A key and its value.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) position: Position,
    /// Where the key stands in the file's text, in bytes.
    pub(super) bytes: Range<usize>,
    pub(super) node: Node,
}

/// Something that is wrong with the text, or with the keys of a mapping.
pub(super) struct Flaw {
    pub(super) position: Position,
    pub(super) path: KeyPath,
    pub(super) message: String,
}

impl Node {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
    }

    /// The keys and values of a mapping; none for anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Where to point for what is wrong with this key's value: the value itself where it is one text, else its key;
    /// the nearest key above where there is no such key.
    pub(super) fn locate(&self, path: &KeyPath) -> Position {
        self.find(path, |entry| match entry.node.value {
            Value::Scalar { .. } => entry.node.position,
            _ => entry.position,
        })
    }

    /// Where the key itself stands.
    pub(super) fn locate_key(&self, path: &KeyPath) -> Position {
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

    /// Takes a key or an element away; elements that follow keep their numbers. False: there is no such key.
    pub(super) fn prune(&mut self, path: &KeyPath) -> bool {
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

    /// The same as JSON in which every scalar is a text.
    pub(super) fn to_json(&self) -> serde_json::Value {
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

    /// How many nodes it has, itself counted, and how deep it is.
    pub(super) fn size(&self) -> (usize, usize) {
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
