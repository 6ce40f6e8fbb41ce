//! Removes arguments from the input schema of a tool that a gateway sets itself.
//!
//! An argument is removed from `properties` and `required` of the schema and of the schemas in its `allOf`, which have to
//! hold together. Elsewhere (`oneOf`, `if`, `$ref`, …) a removal could change what else is valid, so it is reported
//! instead.

use std::collections::HashSet;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::jsonrpc::{Members, Splice, span_of, text};
use crate::router::FixedArguments;

/// Why an argument that is hidden is not, or need not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leftover {
    /// The schema does not declare it.
    Unknown,
    /// The schema still names it under this keyword.
    Named(&'static str),
}

/// Keywords with a list of schemas for the same object.
const LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
/// Keywords with one schema for the same object.
const SINGLE: [&str; 4] = ["not", "if", "then", "else"];
/// Keywords with conditions on the presence of arguments.
const DEPENDENT: [&str; 3] = ["dependentRequired", "dependentSchemas", "dependencies"];
/// Keywords that refer to another schema for the same object.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// Adds the edits that remove these arguments from a schema, which is a part of `whole`.
pub(super) fn hide(edits: &mut Splice, whole: &[u8], schema: &str, fixed: &FixedArguments) {
    let Some(members) = Members::read(schema) else {
        return;
    };
    let is_fixed = |name: &str| fixed.get(name).is_some();
    let mut no_longer_requires = false;
    for (key, value) in &members.0 {
        match &**key {
            "properties" => {
                if let Some(properties) = Members::read(value.get()) {
                    edits.remove_members(whole, &properties, is_fixed);
                }
            }
            "required" => match still_required(value.get(), is_fixed) {
                Some(names) if names.is_empty() => no_longer_requires = true,
                Some(names) => {
                    let list = format!("[{}]", names.join(","));
                    edits.replace(span_of(whole, value.get()), list);
                }
                None => {}
            },
            "allOf" => {
                let schemas: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
                for schema in schemas {
                    hide(edits, whole, schema.get(), fixed);
                }
            }
            _ => {}
        }
    }
    if no_longer_requires {
        edits.remove_members(whole, &members, |key| key == "required");
    }
}

/// Returns the names that remain in a list of required arguments, or `None` if it stays as it is.
fn still_required(list: &str, is_fixed: impl Fn(&str) -> bool) -> Option<Vec<&str>> {
    let names: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    let rest = names.iter().map(|name| name.get());
    let rest = rest.filter(|name| !text(name).is_some_and(|name| is_fixed(&name)));
    let rest: Vec<&str> = rest.collect();
    (rest.len() < names.len()).then_some(rest)
}

/// Returns the arguments that the schema does not declare, or still names after they were hidden.
pub(super) fn leftovers(schema: &str, fixed: &FixedArguments) -> Vec<(String, Leftover)> {
    let whole = bytes::Bytes::copy_from_slice(schema.as_bytes());
    let Ok(before) = serde_json::from_slice::<Value>(&whole) else {
        return Vec::new();
    };
    let mut edits = Splice::new();
    let copy = std::str::from_utf8(&whole).unwrap_or_default();
    hide(&mut edits, &whole, copy, fixed);
    let after = serde_json::from_slice(&edits.apply(&whole)).unwrap_or_default();
    let found = fixed.names().filter_map(|argument| {
        let leftover = match Search::of(&after, argument).run() {
            Some(keyword) => Leftover::Named(keyword),
            None if Search::of(&before, argument).run().is_none() => Leftover::Unknown,
            None => return None,
        };
        Some((argument.to_owned(), leftover))
    });
    found.collect()
}

/// A search for the places where a schema names an argument of the object that it describes.
struct Search<'a> {
    root: &'a Value,
    argument: &'a str,
    /// References that were followed. Each is followed once.
    followed: HashSet<&'a str>,
}

/// What a keyword of a schema says about the object that the schema describes.
enum Part<'a> {
    /// It names the argument, or may do so.
    Names,
    /// It contains a schema for the same object.
    Schema(&'a Value),
    /// It refers to such a schema.
    Reference(&'a str),
}

impl<'a> Search<'a> {
    fn of(root: &'a Value, argument: &'a str) -> Self {
        Self {
            root,
            argument,
            followed: HashSet::new(),
        }
    }

    /// Returns the keyword of the root under which the argument is named.
    fn run(mut self) -> Option<&'static str> {
        let parts = self.parts(self.root).into_iter();
        let mut parts = parts.map(|(keyword, part)| (keyword, self.finds(part)));
        parts.find_map(|(keyword, finds)| finds.then_some(keyword))
    }

    /// Returns `true` if the argument is named in a part, or in one of the schemas that belong to it. This is a loop,
    /// because a server determines the number of references.
    fn finds(&mut self, part: Part<'a>) -> bool {
        let mut open = vec![part];
        while let Some(part) = open.pop() {
            let schema = match part {
                Part::Names => return true,
                Part::Schema(schema) => schema,
                Part::Reference(place) if !self.followed.insert(place) => continue,
                Part::Reference(place) => {
                    let pointer = place.strip_prefix('#');
                    match pointer.and_then(|pointer| self.root.pointer(pointer)) {
                        Some(schema) => schema,
                        // Part of another document, or named by an anchor: it may name anything.
                        None => return true,
                    }
                }
            };
            let parts = self.parts(schema).into_iter();
            open.extend(parts.map(|(_, part)| part));
        }
        false
    }

    fn parts(&self, schema: &'a Value) -> Vec<(&'static str, Part<'a>)> {
        let mut parts = Vec::new();
        let is_named = |names: &Value| {
            let names = names.as_array().into_iter().flatten();
            names
                .filter_map(Value::as_str)
                .any(|name| name == self.argument)
        };
        let properties = schema.get("properties");
        if properties.is_some_and(|all| all.get(self.argument).is_some()) {
            parts.push(("properties", Part::Names));
        }
        if schema.get("required").is_some_and(is_named) {
            parts.push(("required", Part::Names));
        }
        for keyword in LISTS {
            let schemas = schema.get(keyword).and_then(Value::as_array);
            let schemas = schemas.into_iter().flatten();
            parts.extend(schemas.map(|one| (keyword, Part::Schema(one))));
        }
        for keyword in SINGLE {
            parts.extend(schema.get(keyword).map(|one| (keyword, Part::Schema(one))));
        }
        for keyword in DEPENDENT {
            let conditions = schema.get(keyword).and_then(Value::as_object);
            parts.extend(conditions.into_iter().flatten().map(|(name, then)| {
                let names = name == self.argument || is_named(then);
                let part = if names {
                    Part::Names
                } else {
                    Part::Schema(then)
                };
                (keyword, part)
            }));
        }
        for keyword in REFERENCES {
            let place = schema.get(keyword).and_then(Value::as_str);
            parts.extend(place.map(|place| (keyword, Part::Reference(place))));
        }
        parts
    }
}

#[cfg(test)]
mod tests;
