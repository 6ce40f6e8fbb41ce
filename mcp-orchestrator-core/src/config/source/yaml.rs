//! Parses YAML or JSON text into a tree. Aliases and `<<` merges are resolved here, within limits.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde_saphyr::granit_parser::{
    Event, Options, Parser, ScalarStyle, Span, StructureStyle, options,
};

use crate::config::source::diagnostics::{KeyPath, Position};
use crate::config::source::node::{Entry, Flaw, Node, Value};
use crate::limits::{MAX_CONFIG_DEPTH, MAX_CONFIG_NODES};

/// Parses one YAML or JSON document. Returns `None` if it is empty.
///
/// # Errors
/// The first syntax error, which ends parsing. Duplicate keys are not syntax errors: they are returned as flaws, and
/// the first of them counts.
pub(crate) fn parse(text: &str) -> Result<(Option<Node>, Vec<Flaw>), Flaw> {
    let mut builder = built(text, false)?;
    Ok((builder.roots.pop(), builder.flaws))
}

/// Parses all documents of a text; empty ones are skipped.
///
/// # Errors
/// The first error, including duplicate keys.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, Flaw> {
    let builder = built(text, true)?;
    if let Some(flaw) = builder.flaws.into_iter().next() {
        return Err(flaw);
    }
    let roots = builder.roots.into_iter();
    Ok(roots
        .filter(|root| !matches!(root.value, Value::Null))
        .collect())
}

fn built(text: &str, many: bool) -> Result<Builder, Flaw> {
    let options: Options = options! { emit_comments: false };
    let mut builder = Builder {
        many,
        ..Builder::default()
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let marker = error.marker();
            let position = Position {
                line: marker.line(),
                column: marker.col() + 1,
            };
            builder.flaw(
                position,
                syntax_message(&error.kind().to_string(), text, position),
            )
        })?;
        builder.event(event, &span)?;
    }
    Ok(builder)
}

/// Returns the parser's message, with a hint for the one mistake that our variable syntax invites.
fn syntax_message(message: &str, text: &str, position: Position) -> String {
    let line = text.lines().nth(position.line.saturating_sub(1));
    let hint = if line.is_some_and(|line| line.contains("${")) {
        " (inside [ ] and { } a text with ${…} needs quotes)"
    } else {
        ""
    };
    format!("cannot read the file: {message}{hint}")
}

/// A collection that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<(String, Position, Range<usize>)>,
    keys: HashSet<String>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    roots: Vec<Node>,
    /// `true` if several documents are allowed.
    many: bool,
    flaws: Vec<Flaw>,
    count: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Flaw> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                self.count += 1;
                let plain = style == ScalarStyle::Plain;
                let value = match &*text {
                    "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
                    text => Value::Scalar {
                        text: text.to_owned(),
                        plain,
                    },
                };
                self.add(node(span, false, value), anchor)
            }
            Event::SequenceStart(style, anchor, _) => {
                self.start(span, style, anchor, Value::List(Vec::new()))
            }
            Event::MappingStart(style, anchor, _) => {
                self.start(span, style, anchor, Value::Map(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(mut open) = self.open.pop() else {
                    return Ok(());
                };
                open.node.bytes.end = end(span).max(open.node.bytes.start);
                self.add(open.node, open.anchor)
            }
            Event::Alias(id) => {
                let Some(target) = self.anchors.get(&id) else {
                    return Err(self.flaw(
                        position(span),
                        "an alias is inside the node that it refers to",
                    ));
                };
                let (count, depth) = target.size();
                self.count += count;
                if self.count > MAX_CONFIG_NODES || self.open.len() + depth > MAX_CONFIG_DEPTH {
                    return Err(self.flaw(position(span), "the file is too large"));
                }
                let mut copy = target.clone();
                copy.position = position(span);
                copy.bytes = start(span)..end(span);
                self.add(copy, 0)
            }
            Event::DocumentStart(..) if !self.many && !self.roots.is_empty() => Err(self.flaw(
                position(span),
                "the file contains several documents; use one file for each",
            )),
            _ => Ok(()),
        }
    }

    fn start(
        &mut self,
        span: &Span,
        style: StructureStyle,
        anchor: usize,
        value: Value,
    ) -> Result<(), Flaw> {
        self.count += 1;
        if self.open.len() >= MAX_CONFIG_DEPTH {
            return Err(self.flaw(position(span), "the file is nested too deeply"));
        }
        self.open.push(Open {
            node: node(span, style == StructureStyle::Flow, value),
            anchor,
            key: None,
            keys: HashSet::new(),
        });
        Ok(())
    }

    /// Adds a complete node to the open collection.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Flaw> {
        if self.count > MAX_CONFIG_NODES {
            return Err(self.flaw(node.position, "the file is too large"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.roots.push(node);
            return Ok(());
        };
        match &mut open.node.value {
            Value::List(items) => items.push(node),
            Value::Map(_) if open.key.is_none() => match node.value {
                Value::Scalar { text, .. } => open.key = Some((text, node.position, node.bytes)),
                Value::Null => open.key = Some(("null".to_owned(), node.position, node.bytes)),
                _ => return Err(self.flaw(node.position, "a key must be a string")),
            },
            _ => {
                let path = self.path();
                self.add_value(node, path);
            }
        }
        Ok(())
    }

    /// Adds the value of the last key to the mapping.
    fn add_value(&mut self, node: Node, path: KeyPath) {
        let Some(open) = self.open.last_mut() else {
            return;
        };
        let (Value::Map(entries), Some((key, position, bytes))) =
            (&mut open.node.value, open.key.take())
        else {
            return;
        };
        if key == "<<" && merge(entries, &mut open.keys, &node) {
            return;
        }
        if !open.keys.insert(key.clone()) {
            let own = |entry: &&Entry| entry.key == key && !entry.bytes.is_empty();
            if let Some(first) = entries.iter().find(own) {
                let message = format!("duplicate key, first at line {}", first.position.line);
                self.flaws.push(Flaw {
                    position,
                    path,
                    message,
                });
                return;
            }
            entries.retain(|entry| entry.key != key);
        }
        entries.push(Entry {
            key,
            position,
            bytes,
            node,
        });
    }

    /// Returns the path to the current position.
    fn path(&self) -> KeyPath {
        let mut path = KeyPath::default();
        for open in &self.open {
            match (&open.node.value, &open.key) {
                (Value::List(items), _) => path = path.index(items.len()),
                (_, Some((key, ..))) => path = path.key(key),
                _ => {}
            }
        }
        path
    }

    fn flaw(&self, position: Position, message: impl Into<String>) -> Flaw {
        Flaw {
            position,
            path: self.path(),
            message: message.into(),
        }
    }
}

/// Applies `<<: *defaults`: adds the keys that do not exist yet. They get no byte range, because their text is
/// elsewhere.
fn merge(entries: &mut Vec<Entry>, keys: &mut HashSet<String>, source: &Node) -> bool {
    let sources: Vec<&Node> = match &source.value {
        Value::Map(_) => vec![source],
        Value::List(items) => items.iter().collect(),
        _ => return false,
    };
    for entry in sources.into_iter().flat_map(Node::entries) {
        if keys.insert(entry.key.clone()) {
            let mut entry = entry.clone();
            entry.bytes = 0..0;
            entries.push(entry);
        }
    }
    true
}

fn node(span: &Span, flow: bool, value: Value) -> Node {
    Node {
        position: position(span),
        bytes: start(span)..end(span),
        flow,
        value,
    }
}

fn position(span: &Span) -> Position {
    Position {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

fn start(span: &Span) -> usize {
    span.start.byte_offset().unwrap_or(0)
}

fn end(span: &Span) -> usize {
    span.end.byte_offset().unwrap_or(0).max(start(span))
}
