//! Values from the files, key by key; a later file replaces the values of an earlier one.

use serde_json::Value as Json;

use super::origin::{Effective, NamedVariable, Origin};
use crate::config::foreign;
use crate::config::options::LoadOptions;
use crate::config::source::diagnostics::{KeyPath, Position, Report, Step};
use crate::config::source::interpolate::{Piece, pieces, variable};
use crate::config::source::node::{Node, Value};
use crate::config::source::parsed_file::ParsedFile;
use crate::mask::{MASK, masked_args, masked_value};

/// Keys that are merged entry by entry: a later file replaces single entries, not the whole value.
const BY_NAME: [&str; 4] = ["servers", "gateways", "teams", "log"];

/// Values found so far.
pub(super) struct Values<'o> {
    options: &'o LoadOptions,
    pub(super) all: Vec<Effective>,
}

/// A value and its key.
struct Leaf {
    path: KeyPath,
    text: String,
    position: Option<Position>,
}

impl<'o> Values<'o> {
    pub(super) fn new(options: &'o LoadOptions) -> Self {
        Self {
            options,
            all: Vec::new(),
        }
    }

    /// Adds a file of the product's own format.
    pub(super) fn own(&mut self, source: &ParsedFile) {
        for entry in source.tree.entries() {
            let path = KeyPath::default().key(&entry.key);
            if entry.key == "$schema" {
                continue;
            }
            if !BY_NAME.contains(&&entry.key[..]) {
                self.replace(&entry.key, source, leaves(&path, &entry.node));
                continue;
            }
            for one in entry.node.entries() {
                let path = path.key(&one.key);
                self.replace(&path.to_string(), source, leaves(&path, &one.node));
            }
        }
    }

    /// Adds a file of another program: its servers, as they were understood.
    pub(super) fn foreign(
        &mut self,
        source: &ParsedFile,
        found: &foreign::ForeignFile,
        report: &mut Report,
    ) {
        for server in found.servers(source, report) {
            let path = KeyPath::default().key("servers").key(&server.label);
            let position = source.key_position(&server.path);
            let entry = serde_json::to_value(&server.entry).unwrap_or_default();
            let mut found = Vec::new();
            json_leaves(&path, &entry, position, &mut found);
            self.replace(&path.to_string(), source, found);
        }
    }

    /// Replaces the values that an earlier file set below the same key.
    fn replace(&mut self, key: &str, source: &ParsedFile, leaves: Vec<Leaf>) {
        let below = format!("{key}.");
        self.all
            .retain(|known| known.key != key && !known.key.starts_with(&below));
        let foreign = source.is_foreign();
        for (leaf, value) in shown(leaves, foreign) {
            self.all.push(Effective {
                key: leaf.path.to_string(),
                value,
                origin: Origin::File {
                    file: source.file.to_path_buf(),
                    line: leaf.position.map(|position| position.line),
                    variables: self.variables(&leaf.text, foreign),
                },
            });
        }
    }

    fn variables(&self, text: &str, foreign: bool) -> Vec<NamedVariable> {
        let names = pieces(text, !foreign).into_iter().filter_map(|piece| {
            let Piece::Reference(reference) = piece else {
                return None;
            };
            let reference = reference.strip_prefix("env:").unwrap_or(reference);
            variable(reference).map(|(name, _)| name.to_owned())
        });
        let named = names.map(|name| NamedVariable {
            is_set: self.options.variables.get(&name).is_some(),
            name,
        });
        named.collect()
    }
}

/// Returns the values below a node. A list of scalars is one value.
fn leaves(path: &KeyPath, node: &Node) -> Vec<Leaf> {
    let leaf = |text: String| Leaf {
        path: path.clone(),
        text,
        position: Some(node.position),
    };
    match &node.value {
        Value::Null | Value::Pruned => Vec::new(),
        Value::Scalar { text, .. } => vec![leaf(text.clone())],
        Value::List(items) if items.iter().all(is_scalar) => {
            let texts = items.iter().map(text_of);
            vec![leaf(list(path, texts.collect()))]
        }
        Value::List(items) => {
            let items = items.iter().enumerate();
            items
                .flat_map(|(at, item)| leaves(&path.index(at), item))
                .collect()
        }
        Value::Map(entries) if entries.is_empty() => vec![leaf("{}".to_owned())],
        Value::Map(entries) => {
            let entries = entries.iter();
            entries
                .flat_map(|entry| leaves(&path.key(&entry.key), &entry.node))
                .collect()
        }
    }
}

fn is_scalar(node: &Node) -> bool {
    matches!(node.value, Value::Scalar { .. } | Value::Null)
}

fn text_of(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, .. } => text.clone(),
        _ => String::new(),
    }
}

fn json_leaves(path: &KeyPath, value: &Json, position: Option<Position>, found: &mut Vec<Leaf>) {
    let text = match value {
        Json::Null => return,
        Json::String(text) => text.clone(),
        Json::Array(items) if items.iter().all(|item| !item.is_object()) => {
            let texts = items.iter().map(|item| match item.as_str() {
                Some(text) => text.to_owned(),
                None => item.to_string(),
            });
            list(path, texts.collect())
        }
        Json::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                json_leaves(&path.index(at), item, position, found);
            }
            return;
        }
        Json::Object(members) => {
            for (name, value) in members {
                json_leaves(&path.key(name), value, position, found);
            }
            return;
        }
        other => other.to_string(),
    };
    found.push(Leaf {
        path: path.clone(),
        text,
        position,
    });
}

/// Formats a list as one text. Arguments are masked here, while they are still separate.
fn list(path: &KeyPath, texts: Vec<String>) -> String {
    let texts = match last_key(path) {
        "args" | "command" => masked_args(texts),
        _ => texts,
    };
    let quoted = texts.iter().map(|text| match text.contains([' ', ',']) {
        true => format!("\"{text}\""),
        false => text.clone(),
    });
    format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
}

fn last_key(path: &KeyPath) -> &str {
    let mut keys = path.steps().iter().rev().filter_map(|step| match step {
        Step::Key(key) => Some(&key[..]),
        Step::Index(_) => None,
    });
    keys.next().unwrap_or_default()
}

/// Masks the values for display. `env` and `headers` in files of other programs are always secret.
fn shown(leaves: Vec<Leaf>, foreign: bool) -> Vec<(Leaf, String)> {
    let shown = leaves.into_iter().map(|leaf| {
        let keys = leaf.path.to_string();
        let inside = |part: &str| keys.contains(part);
        let hidden = foreign && (inside(".env.") || inside(".headers."));
        let references = leaf.text.contains("${");
        let value = if hidden && !references {
            MASK.to_owned()
        } else {
            masked_value(last_key(&leaf.path), &leaf.text).into_owned()
        };
        (leaf, value)
    });
    shown.collect()
}
