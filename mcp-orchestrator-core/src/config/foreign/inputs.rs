//! The `inputs` of a VS Code file, which the editor prompts its user for.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::keys::{Keys, scalar};
use crate::config::source::diagnostics::{KeyPath, Report};
use crate::config::source::interpolate::{Input, input_variable};
use crate::config::source::node::{Node, Value};
use crate::config::source::parsed_file::ParsedFile;

/// The keys under which a file may have inputs.
const PLACES: [&[&str]; 3] = [
    &["inputs"],
    &["mcp", "inputs"],
    &["customizations", "vscode", "mcp", "inputs"],
];

/// Returns the inputs of the file by id.
pub(in crate::config) fn inputs(tree: &Node) -> BTreeMap<String, Input> {
    let mut inputs = BTreeMap::new();
    for (id, input) in list(tree) {
        inputs.insert(id, input);
    }
    inputs
}

fn list(tree: &Node) -> Vec<(String, Input)> {
    let mut found = Vec::new();
    for way in PLACES {
        let node = way.iter().try_fold(tree, |node, key| node.get(key));
        let Some(Value::List(items)) = node.map(|node| &node.value) else {
            continue;
        };
        for item in items {
            let Some(mut keys) = Keys::new(item, KeyPath::default()) else {
                continue;
            };
            let Some(id) = keys.node(&["id"]).and_then(|(node, _)| scalar(node)) else {
                continue;
            };
            let default = keys.node(&["default"]).and_then(|(node, _)| scalar(node));
            let input = Input {
                default: default.map(SecretString::from),
                password: keys.flag(&["password"]) == Some(true),
            };
            found.push((id, input));
        }
    }
    found
}

/// Warns about inputs that share a variable because their ids differ only in characters other than letters and digits.
pub(super) fn twins(source: &ParsedFile, report: &mut Report) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for (id, _) in list(&source.tree) {
        let variable = input_variable(&id);
        let Some(other) = known.insert(variable.clone(), id.clone()) else {
            continue;
        };
        if other != id {
            let text = format!(
                "the inputs {other:?} and {id:?} share the variable {variable}; set them with --input"
            );
            let path = KeyPath::default().key("inputs");
            report.notice(&source.file, source.key_position(&path), &path, text);
        }
    }
}
