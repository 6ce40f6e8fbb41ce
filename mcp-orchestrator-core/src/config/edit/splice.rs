//! Edits servers in the text of a file. The caller must verify the result.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::config::schema::server::ServerEntry;
use crate::config::source::deserialize;
use crate::config::source::node::{Entry, Node, Value};
use crate::config::source::yaml;

/// A file to edit.
pub(crate) struct Edit<'t> {
    pub(crate) text: &'t str,
    /// Its content; `None` if it is empty.
    pub(crate) tree: Option<&'t Node>,
    /// `true` if the file name says JSON.
    pub(crate) json: bool,
}

impl Edit<'_> {
    /// Returns the text with the server added, or `None` if no safe place for it is known.
    pub(crate) fn put(&self, name: &str, entry: &ServerEntry) -> Option<String> {
        let Some(tree) = self.tree else {
            return if self.json {
                Some(format!(
                    "{{\n  \"servers\": {{\n{}\n  }}\n}}\n",
                    json(name, entry, 4)?
                ))
            } else {
                self.append(&format!("servers:\n{}", yaml(name, entry, 2)?))
            };
        };
        let Value::Map(root) = &tree.value else {
            return None;
        };
        let Some(servers) = root.iter().find(|entry| entry.key == "servers") else {
            return if tree.flow {
                let inner = format!("\"servers\": {{\n{}\n  }}", json(name, entry, 4)?);
                Some(self.open_brace(tree, &format!("\n  {inner}"), "\n"))
            } else {
                self.append(&format!("servers:\n{}", yaml(name, entry, 2)?))
            };
        };
        self.put_into(servers, tree.flow, name, entry)
    }

    /// Returns the text without the server, or `None` if it cannot be removed safely.
    pub(crate) fn take(&self, name: &str) -> Option<String> {
        let map = &self.tree?.get("servers")?;
        let known = map.entries().iter().find(|entry| entry.key == name)?;
        if known.bytes.is_empty() {
            return None;
        }
        if !map.flow {
            let range = self.block(known.bytes.start, known.position.column - 1);
            return Some(self.splice(range, ""));
        }
        // In flow style, one of the adjacent commas must be removed as well.
        let (start, end) = (known.bytes.start, known.node.bytes.end);
        let before = self.text[..start].trim_end();
        let behind = &self.text[end..];
        let gap = behind.len() - behind.trim_start().len();
        let range = match before.strip_suffix(',') {
            Some(rest) => rest.len()..end,
            None if behind.trim_start().starts_with(',') => before.len()..end + gap + 1,
            None => before.len()..end,
        };
        Some(self.splice(range, ""))
    }

    fn put_into(
        &self,
        servers: &Entry,
        in_flow: bool,
        name: &str,
        entry: &ServerEntry,
    ) -> Option<String> {
        let map = &servers.node;
        let known = map.entries().iter().find(|entry| entry.key == name);
        match &map.value {
            Value::Null if in_flow => None,
            Value::Null => {
                let line = self.line_end(servers.bytes.end);
                Some(self.splice(
                    line..line,
                    &fresh_line(self.text, line, &yaml(name, entry, 2)?),
                ))
            }
            Value::Map(entries) if entries.is_empty() && map.flow && !in_flow => Some(self.splice(
                map.bytes.clone(),
                &format!("\n{}", yaml(name, entry, 2)?.trim_end()),
            )),
            Value::Map(_) if map.flow => match known {
                Some(known) => {
                    let value = printable(&serde_json::to_string(entry).ok()?);
                    Some(self.splice(known.node.bytes.clone(), &value))
                }
                None => Some(self.open_brace(map, &format!("\n{}", json(name, entry, 4)?), "\n  ")),
            },
            Value::Map(entries) => {
                let indent = entries.first()?.position.column - 1;
                let text = yaml(name, entry, indent)?;
                let range = match known {
                    Some(known) if known.bytes.is_empty() => return None,
                    Some(known) => self.block(known.bytes.start, indent),
                    None => {
                        let end = self
                            .block(servers.bytes.start, servers.position.column - 1)
                            .end;
                        end..end
                    }
                };
                Some(self.splice(range.clone(), &fresh_line(self.text, range.start, &text)))
            }
            _ => None,
        }
    }

    /// Returns the lines of a key with this indentation and of everything below it.
    fn block(&self, key: usize, indent: usize) -> Range<usize> {
        let start = self.text[..key].rfind('\n').map_or(0, |at| at + 1);
        let first = self.line_end(key);
        let (mut end, mut at) = (first, first);
        for line in self.text[first..].split_inclusive('\n') {
            at += line.len();
            let content = line.trim_start_matches(' ');
            if content.trim().is_empty() {
                continue;
            }
            if line.len() - content.len() > indent {
                end = at;
            } else if !content.starts_with('#') {
                break;
            }
        }
        start..end
    }

    /// Returns the end of the line, including its line break.
    fn line_end(&self, at: usize) -> usize {
        self.text[at..]
            .find('\n')
            .map_or(self.text.len(), |end| at + end + 1)
    }

    fn append(&self, addition: &str) -> Option<String> {
        let at = self.text.len();
        Some(self.splice(at..at, &fresh_line(self.text, at, addition)))
    }

    /// Inserts a first entry into a flow mapping.
    fn open_brace(&self, map: &Node, addition: &str, close: &str) -> String {
        let at = map.bytes.start + 1;
        let end = if map.entries().is_empty() { close } else { "," };
        self.splice(at..at, &format!("{addition}{end}"))
    }

    fn splice(&self, range: Range<usize>, addition: &str) -> String {
        format!(
            "{}{addition}{}",
            &self.text[..range.start],
            &self.text[range.end..]
        )
    }
}

/// Returns the addition, preceded by a line break unless it starts a line.
fn fresh_line(text: &str, at: usize, addition: &str) -> String {
    if at == 0 || text[..at].ends_with('\n') {
        addition.to_owned()
    } else {
        format!("\n{addition}")
    }
}

/// Serializes the entry as YAML with this indentation, ending with a line break.
pub(crate) fn yaml(name: &str, entry: &ServerEntry, indent: usize) -> Option<String> {
    let named: BTreeMap<&str, &ServerEntry> = [(name, entry)].into();
    // Block scalars are easier to read, but one that keeps its last line breaks or starts with blanks depends on the
    // text around it.
    let is_fragile = |line: &str| {
        let header = line.rsplit(' ').next().unwrap_or_default();
        header.starts_with(['|', '>']) && !matches!(header, "|" | "|-" | ">" | ">-")
    };
    let write = |prefer_block_scalars: bool| {
        let options = serde_saphyr::ser_options! { prefer_block_scalars: prefer_block_scalars };
        let text = serde_saphyr::to_string_with_options(&named, options).ok()?;
        indented(&text, indent)
    };
    let text = write(true)?;
    if !text.lines().any(is_fragile) && read(&text).as_ref() == Some(entry) {
        return Some(text);
    }
    write(false)
}

/// Reads the only entry of this text, as a configuration file is read.
fn read(text: &str) -> Option<ServerEntry> {
    let (tree, flaws) = yaml::parse(text).ok()?;
    let tree = tree.filter(|_| flaws.is_empty())?;
    let only = &tree.entries().first()?.node;
    Some(deserialize::read(only).0)
}

/// Serializes the entry as JSON with this indentation.
fn json(name: &str, entry: &ServerEntry, indent: usize) -> Option<String> {
    let value = printable(&serde_json::to_string_pretty(entry).ok()?);
    let name = serde_json::to_string(name).ok()?;
    let text = indented(&format!("{name}: {value}"), indent)?;
    Some(text.trim_end().to_owned())
}

/// Escapes JSON characters that YAML does not allow, because JSON files are parsed as YAML.
fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if (c.is_control() && c != '\n') || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}') {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text
}

fn indented(text: &str, indent: usize) -> Option<String> {
    let blanks = " ".repeat(indent);
    let mut lines = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        if !line.is_empty() {
            lines.push_str(&blanks);
        }
        lines.push_str(line);
        lines.push('\n');
    }
    Some(lines)
}
