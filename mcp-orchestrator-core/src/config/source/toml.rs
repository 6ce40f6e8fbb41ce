//! Parses TOML into the same tree as YAML and JSON.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::config::source::diagnostics::{KeyPath, Position};
use crate::config::source::node::{Entry, Flaw, Node, Value};
use crate::limits::{MAX_CONFIG_DEPTH, MAX_CONFIG_NODES};

/// Columns are counted up to this limit, so that a file with one long line is read in linear time.
const MAX_COLUMN: usize = 1000;

/// Parses a TOML document.
///
/// # Errors
/// The first error in it.
pub(in crate::config) fn parse(text: &str) -> Result<Node, Flaw> {
    let mut reading = TreeBuilder::new(text);
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        // Use only the message: the error's `Display` quotes the line, which may hold a secret.
        reading.flaw(at, format!("cannot read the file: {}", error.message()))
    })?;
    let bytes = table.span();
    let value = reading.table(table.get_ref(), 1)?;
    Ok(reading.node(bytes, value))
}

struct TreeBuilder<'t> {
    text: &'t str,
    /// The start of each line.
    lines: Vec<usize>,
    count: usize,
}

impl<'t> TreeBuilder<'t> {
    fn new(text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0)
            .chain(breaks.map(|(at, _)| at + 1))
            .collect();
        Self {
            text,
            lines,
            count: 0,
        }
    }

    fn table(&mut self, table: &DeTable<'_>, depth: usize) -> Result<Value, Flaw> {
        let mut entries = Vec::new();
        for (key, value) in table {
            let span = value.span();
            let value = self.value(value.get_ref(), span.start, depth)?;
            let node = self.node(span, value);
            entries.push(Entry {
                key: key.get_ref().to_string(),
                position: self.position(key.span().start),
                bytes: key.span(),
                node,
            });
        }
        Ok(Value::Map(entries))
    }

    fn value(&mut self, value: &DeValue<'_>, at: usize, depth: usize) -> Result<Value, Flaw> {
        self.count += 1;
        if depth > MAX_CONFIG_DEPTH {
            return Err(self.flaw(at, "the file is nested too deeply".to_owned()));
        }
        if self.count > MAX_CONFIG_NODES {
            return Err(self.flaw(at, "the file is too large".to_owned()));
        }
        let plain = |text: String| Value::Scalar { text, plain: true };
        Ok(match value {
            DeValue::String(text) => Value::Scalar {
                text: text.to_string(),
                plain: false,
            },
            DeValue::Integer(number) => plain(number.as_str().to_owned()),
            DeValue::Float(number) => plain(number.as_str().to_owned()),
            DeValue::Boolean(truth) => plain(truth.to_string()),
            DeValue::Datetime(time) => plain(time.to_string()),
            DeValue::Array(items) => {
                let mut nodes = Vec::new();
                for item in items {
                    let value = self.value(item.get_ref(), item.span().start, depth + 1)?;
                    nodes.push(self.node(item.span(), value));
                }
                Value::List(nodes)
            }
            DeValue::Table(table) => self.table(table, depth + 1)?,
        })
    }

    fn node(&self, bytes: Range<usize>, value: Value) -> Node {
        Node {
            position: self.position(bytes.start),
            bytes,
            flow: false,
            value,
        }
    }

    fn position(&self, at: usize) -> Position {
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let start = self.lines[line - 1];
        let before = self.text.get(start..at).unwrap_or_default();
        Position {
            line,
            column: before.chars().take(MAX_COLUMN).count() + 1,
        }
    }

    fn flaw(&self, at: usize, message: String) -> Flaw {
        Flaw {
            position: self.position(at),
            path: KeyPath::default(),
            message,
        }
    }
}
