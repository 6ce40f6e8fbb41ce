//! Adds or removes one server in a TOML file and keeps the bytes of everything else.

use toml_edit::{DocumentMut, Item, Table, Value, value};

use super::{Endpoint, TOKEN};

/// Mark that some editors write at the start of a file. It is no part of the document.
const BOM: char = '\u{feff}';

/// Returns a document that contains only this server.
pub(super) fn document(key: &str, name: &str, to: &Endpoint) -> String {
    let mut servers = Table::new();
    servers.set_implicit(true);
    servers.insert(name, Item::Table(entry(to)));
    let mut document = DocumentMut::new();
    document.insert(key, Item::Table(servers));
    document.to_string()
}

fn entry(to: &Endpoint) -> Table {
    let mut entry = Table::new();
    entry.insert("url", value(&to.url));
    if to.with_token {
        entry.insert("bearer_token_env_var", value(TOKEN));
    }
    entry
}

/// Returns the text with the server's table. A new table is appended, where a table is always valid; if the servers are
/// an inline table, it is added to that one.
///
/// # Errors
/// Fails if the text is not valid TOML, if the servers are not a table, or if the server exists with other contents.
pub(super) fn put(text: &str, key: &str, name: &str, to: &Endpoint) -> Result<String, String> {
    let mut document = parse(text)?;
    let servers = document.get_mut(key);
    if let Some(existing) = servers.as_ref().and_then(|servers| servers.get(name)) {
        return if is_entry(existing, to) {
            Ok(text.to_owned())
        } else {
            Err(format!("{key}.{name} exists with other contents"))
        };
    }
    let changed = match servers {
        None | Some(Item::None | Item::Table(_)) => appended(text, &self::document(key, name, to)),
        Some(Item::Value(Value::InlineTable(servers))) => {
            servers.insert(name, entry(to).into_inline_table().into());
            printed(text, &document)?
        }
        Some(_) => return Err(format!("{key} is not a table")),
    };
    // A table that is closed for extension, such as one of dotted keys, shows only now.
    let written = parse(&changed).ok();
    let written = written
        .as_ref()
        .and_then(|document| document.get(key)?.get(name));
    match written {
        Some(written) if is_entry(written, to) => Ok(changed),
        _ => Err(format!(
            "{key} is written in a form that cannot be extended"
        )),
    }
}

/// Appends a table, separated by an empty line and with the line ends of the text.
fn appended(text: &str, table: &str) -> String {
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let empty_line = format!("{line_end}{line_end}");
    let gap = match text {
        text if text.trim_start_matches(BOM).is_empty() || text.ends_with(&empty_line) => "",
        text if text.ends_with('\n') => line_end,
        _ => &empty_line,
    };
    format!("{text}{gap}{}", table.replace('\n', line_end))
}

fn is_entry(item: &Item, to: &Endpoint) -> bool {
    let Some(existing) = item.as_table_like() else {
        return false;
    };
    let expected = entry(to);
    existing.len() == expected.len()
        && expected
            .iter()
            .all(|(key, value)| existing.get(key).and_then(Item::as_str) == value.as_str())
}

/// Returns the text without the server's table and its subtables, or `None` if there is no such table. Comments above
/// it are kept.
///
/// # Errors
/// Fails if the text is not valid TOML, or has line ends of two kinds.
pub(super) fn remove(text: &str, key: &str, name: &str) -> Result<Option<String>, String> {
    let mut document = parse(text)?;
    let servers = document.get_mut(key).and_then(Item::as_table_like_mut);
    let Some(removed) = servers.and_then(|servers| servers.remove(name)) else {
        return Ok(None);
    };
    if let Some(table) = removed.as_table() {
        keep_comments(&mut document, table);
    }
    let kept = printed(text, &document)?;
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    Ok(Some(format!("{}{line_end}", kept.trim_end())))
}

/// Moves what was above a removed table to the next table, or to the end of the document.
fn keep_comments(document: &mut DocumentMut, removed: &Table) {
    let above = |table: &Table| {
        let prefix = table.decor().prefix().and_then(|prefix| prefix.as_str());
        prefix.unwrap_or_default().to_owned()
    };
    let kept = above(removed);
    let mut next: Option<isize> = None;
    each_table(document.as_table_mut(), &mut |table| {
        let position = table.position();
        if position > removed.position() && next.is_none_or(|next| position < Some(next)) {
            next = position;
        }
    });
    if next.is_none() {
        let trailing = document.trailing().as_str().unwrap_or_default();
        let trailing = format!("{kept}{trailing}");
        document.set_trailing(trailing);
        return;
    }
    each_table(document.as_table_mut(), &mut |table| {
        if table.position() == next {
            let own = above(table);
            let prefix = format!("{kept}{}", own.trim_start_matches('\n'));
            table.decor_mut().set_prefix(prefix);
        }
    });
}

/// Calls the function for each table that has a header of its own.
fn each_table(table: &mut Table, visit: &mut dyn FnMut(&mut Table)) {
    for (_, item) in table.iter_mut() {
        let tables: Vec<&mut Table> = match item {
            Item::Table(table) => vec![table],
            Item::ArrayOfTables(tables) => tables.iter_mut().collect(),
            Item::None | Item::Value(_) => continue,
        };
        for table in tables {
            if !table.is_implicit() && !table.is_dotted() {
                visit(table);
            }
            each_table(table, visit);
        }
    }
}

/// Parses the text, with `\n` as the end of each line.
fn parse(text: &str) -> Result<DocumentMut, String> {
    let plain = text.trim_start_matches(BOM).replace("\r\n", "\n");
    plain.parse().map_err(|error: toml_edit::TomlError| {
        // Use only the message: the error's `Display` quotes the line, which may hold a secret.
        format!("it is not valid TOML: {}", error.message())
    })
}

/// Returns the document as text, with the line ends and the byte order mark of the original.
///
/// # Errors
/// Fails if more than the edit would change, because the original has line ends of two kinds.
fn printed(original: &str, document: &DocumentMut) -> Result<String, String> {
    let as_before = |document: &DocumentMut| {
        let mut text = document.to_string();
        if original.contains("\r\n") {
            text = text.replace('\n', "\r\n");
        }
        if original.starts_with(BOM) {
            text.insert(0, BOM);
        }
        text
    };
    let unedited = as_before(&parse(original)?);
    if unedited.trim_end() != original.trim_end() {
        return Err(
            "it is written in a form that cannot be edited without other changes".to_owned(),
        );
    }
    Ok(as_before(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "mcp_servers";

    fn endpoint(url: &str, with_token: bool) -> Endpoint {
        Endpoint {
            url: url.to_owned(),
            with_token,
        }
    }

    #[test]
    fn table_is_appended_once() {
        let text = "model = \"x\" # mine\n[mcp_servers.gw2]\ncommand = \"y\"";
        let x = endpoint("http://x/mcp", false);
        let now = put(text, KEY, "gw", &x).unwrap();
        assert_eq!(
            now,
            format!("{text}\n\n[mcp_servers.gw]\nurl = \"http://x/mcp\"\n")
        );
        assert_eq!(put(&now, KEY, "gw", &x).unwrap(), now);
        assert!(put(&now, KEY, "gw", &endpoint("http://y/mcp", false)).is_err());
        let with_token = endpoint("http://x/mcp", true);
        assert!(put(&now, KEY, "gw", &with_token).is_err());
        let now = put(text, KEY, "gw", &with_token).unwrap();
        assert!(now.ends_with("bearer_token_env_var = \"MCP_ORCHESTRATOR_TOKEN\"\n"));
        let other = format!("{now}[mcp_servers.gw.env]\nA = \"b\"\n[other]\nx = 1\n");
        let without = remove(&other, KEY, "gw").unwrap().unwrap();
        assert_eq!(without, format!("{text}\n\n[other]\nx = 1\n"));
        assert_eq!(remove(text, KEY, "gw").unwrap(), None);
    }

    #[test]
    fn every_other_byte_is_kept() {
        let to = endpoint("http://x", false);
        for text in [
            "",
            "# only a comment",
            "a = \"\"\"\n[mcp_servers.gw]\n\"\"\"\n",
            "b.z = 1\nb.a=2 # order\n",
            "[t]\na=[1,\n 2, # two\n]\n\n[[list]]\nx=1\n[[list]]\n\n# the end\n",
            "[mcp_servers.one]\n\turl='y'\n\n[z.y]\nk = 1979-05-27T07:32:00Z\n[mcp_servers.two]\n",
            "mcp_servers.one.url = \"y\"\n",
            "x = 1\r\n\r\n[mcp_servers.one]\r\nurl = \"y\"\r\n",
            "\u{feff}x = 1\n",
            "[mcp_servers]\n",
        ] {
            let now = put(text, KEY, "gw", &to).unwrap();
            assert!(now.starts_with(text), "{text:?} became {now:?}");
            assert!(!text.contains('\r') || !now.replace("\r\n", "").contains('\n'));
            let back = remove(&now, KEY, "gw").unwrap().unwrap();
            assert_eq!(back.trim_end(), text.trim_end(), "{now:?}");
        }
    }

    #[test]
    fn name_that_is_no_bare_key_is_quoted() {
        let to = endpoint("http://x", false);
        for name in ["a.b", "a b", "ü", "a\"b", ""] {
            let now = put("", KEY, name, &to).unwrap();
            assert_eq!(put(&now, KEY, name, &to).unwrap(), now, "{name:?}");
            let other_names = remove(&now, KEY, "a").unwrap();
            assert_eq!(other_names, None, "{name:?}");
            assert_eq!(remove(&now, KEY, name).unwrap().unwrap().trim(), "");
        }
    }

    #[test]
    fn server_is_found_in_every_form_of_a_table() {
        let to = endpoint("http://x", false);
        for text in [
            "mcp_servers.gw.url = \"http://x\"\n",
            "[ mcp_servers . \"gw\" ]\nurl = 'http://x'\n",
            "mcp_servers = { gw = { url = \"http://x\" } }\n",
            "[mcp_servers]\ngw.url = \"http://x\"\n",
            "[mcp_servers]\ngw = { url = \"http://x\" }\n",
        ] {
            assert_eq!(put(text, KEY, "gw", &to).unwrap(), text);
            let other = endpoint("http://y", false);
            assert!(put(text, KEY, "gw", &other).is_err(), "{text}");
            let without = remove(text, KEY, "gw").unwrap().unwrap();
            assert!(!without.contains("gw"), "{without}");
        }
        let inline = put("a = 1\nmcp_servers = {}\n", KEY, "gw", &to).unwrap();
        assert_eq!(
            inline,
            "a = 1\nmcp_servers = { gw = { url = \"http://x\" } }\n"
        );
    }

    #[test]
    fn comments_of_others_survive_a_removal() {
        let text = "# My settings\n\n[mcp_servers.gw]\nurl = \"x\"\n\n# about z\n[z]\n";
        let without = remove(text, KEY, "gw").unwrap().unwrap();
        assert_eq!(without, "# My settings\n\n# about z\n[z]\n");
        let last = "[z]\n\n# servers\n[mcp_servers.gw]\nurl = \"x\"\n# the end\n";
        let without = remove(last, KEY, "gw").unwrap().unwrap();
        assert_eq!(without, "[z]\n\n# servers\n# the end\n");
    }

    #[test]
    fn file_that_cannot_be_edited_is_rejected() {
        let to = endpoint("http://x", false);
        for text in [
            "mcp_servers = 1\n",
            "[[mcp_servers]]\n",
            "x = \"secret",
            "[a]\n[a]\n",
        ] {
            let why = put(text, KEY, "gw", &to).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
        let mixed = "a = 1\r\nb = 2\n[mcp_servers.gw]\nurl = \"x\"\n";
        assert!(remove(mixed, KEY, "gw").is_err());
    }
}
