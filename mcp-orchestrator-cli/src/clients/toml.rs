//! Puts one server into a TOML file, as a table at its end; a table can always stand there.

/// The table of a server.
pub(super) fn table(key: &str, name: &str, url: &str) -> String {
    format!("{}\n{}\n", head(key, name), line(url))
}

fn head(key: &str, name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) {
        format!("[{key}.{name}]")
    } else {
        format!("[{key}.{}]", quoted(name))
    }
}

fn line(url: &str) -> String {
    format!("url = {}", quoted(url))
}

/// A text as a basic string: JSON's escapes are TOML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text with the server's table.
///
/// # Errors
/// Where it is there with something else in it, or the servers are written in another form.
pub(super) fn put(text: &str, key: &str, name: &str, url: &str) -> Result<String, String> {
    let head = head(key, name);
    let mut lines = text.lines().map(str::trim);
    if lines
        .clone()
        .any(|line| line.contains("\"\"\"") || line.contains("'''"))
    {
        return Err("it holds texts of several lines, in which a table cannot be told".to_owned());
    }
    if lines.any(|line| line == head) {
        let next = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
        return if next == Some(&*line(url)) {
            Ok(text.to_owned())
        } else {
            Err(format!("{head} stands there with something else in it"))
        };
    }
    let other_form = |line: &str| {
        let dense: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        let mut about = vec![format!("{key}="), format!("\"{key}\"")];
        for (name, end) in [
            (name.to_owned(), ["]", ".", "="]),
            (quoted(name), ["]", ".", "="]),
        ] {
            for end in end {
                about.push(format!("{key}.{name}{end}"));
                about.push(format!("[{key}.{name}{end}"));
            }
        }
        about.iter().any(|start| dense.starts_with(start))
    };
    if text.lines().any(other_form) {
        return Err(format!(
            "{key} stands there in a form that cannot be edited safely"
        ));
    }
    let gap = match text {
        "" => "",
        text if text.ends_with("\n\n") => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    Ok(format!("{text}{gap}{}", table(key, name, url)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_put_at_the_end_once() {
        let text = "model = \"x\" # mine\n[mcp_servers.gw2]\ncommand = \"y\"";
        let now = put(text, "mcp_servers", "gw", "http://x/mcp").unwrap();
        assert_eq!(
            now,
            format!("{text}\n\n[mcp_servers.gw]\nurl = \"http://x/mcp\"\n")
        );
        assert_eq!(put(&now, "mcp_servers", "gw", "http://x/mcp").unwrap(), now);
        assert!(put(&now, "mcp_servers", "gw", "http://y/mcp").is_err());
    }

    #[test]
    fn other_forms_are_left_alone() {
        for text in [
            "mcp_servers = {}",
            "mcp_servers.gw.url = \"z\"",
            "[ mcp_servers . gw ]",
            "a = \"\"\"\n[x]\n\"\"\"",
        ] {
            assert!(
                put(text, "mcp_servers", "gw", "http://x").is_err(),
                "{text}"
            );
        }
    }
}
