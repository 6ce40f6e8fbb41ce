//! Adds one server to a TOML file, as a table at its end, where a table is always valid.

use super::{Endpoint, TOKEN};

/// Returns the table of a server.
pub(super) fn table(key: &str, name: &str, to: &Endpoint) -> String {
    let token = to.with_token;
    let token = token.then(|| format!("bearer_token_env_var = {}\n", quoted(TOKEN)));
    let token = token.unwrap_or_default();
    format!("{}\n{}\n{token}", head(key, name), line(&to.url))
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

/// Formats a text as a TOML basic string. JSON escapes are valid there.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the text with the server's table.
///
/// # Errors
/// Fails if the table exists with other contents, if the servers are not written as tables, or if the file contains
/// multi-line strings.
pub(super) fn put(text: &str, key: &str, name: &str, to: &Endpoint) -> Result<String, String> {
    let head = head(key, name);
    let mut lines = text.lines().map(str::trim);
    if lines
        .clone()
        .any(|line| line.contains("\"\"\"") || line.contains("'''"))
    {
        return Err("it contains multi-line strings, which cannot be edited safely".to_owned());
    }
    if lines.any(|line| line == head) {
        let own: Vec<&str> = lines
            .take_while(|line| !line.starts_with('['))
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        let table = table(key, name, to);
        return if own == table.lines().skip(1).collect::<Vec<_>>() {
            Ok(text.to_owned())
        } else {
            Err(format!("{head} exists with other contents"))
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
            "{key} is written in a form that cannot be edited safely"
        ));
    }
    let gap = match text {
        "" => "",
        text if text.ends_with("\n\n") => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    Ok(format!("{text}{gap}{}", table(key, name, to)))
}

/// Returns the text without the server's table and its subtables, or `None` if there is no such table.
///
/// # Errors
/// Fails if the file contains multi-line strings, because a line in one could look like a table header.
pub(super) fn remove(text: &str, key: &str, name: &str) -> Result<Option<String>, String> {
    if text.contains("\"\"\"") || text.contains("'''") {
        return Err("it contains multi-line strings, which cannot be edited safely".to_owned());
    }
    let head = head(key, name);
    let below = format!("{}.", head.trim_end_matches(']'));
    let mut kept = String::new();
    let (mut inside, mut found) = (false, false);
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if bare.starts_with('[') {
            inside = bare == head || bare.starts_with(&below);
            found |= inside;
        }
        if !inside {
            kept.push_str(line);
        }
    }
    Ok(found.then(|| format!("{}\n", kept.trim_end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_appended_once() {
        let text = "model = \"x\" # mine\n[mcp_servers.gw2]\ncommand = \"y\"";
        let to = |url: &str, with_token| Endpoint {
            url: url.to_owned(),
            with_token,
        };
        let x = to("http://x/mcp", false);
        let now = put(text, "mcp_servers", "gw", &x).unwrap();
        assert_eq!(
            now,
            format!("{text}\n\n[mcp_servers.gw]\nurl = \"http://x/mcp\"\n")
        );
        assert_eq!(put(&now, "mcp_servers", "gw", &x).unwrap(), now);
        assert!(put(&now, "mcp_servers", "gw", &to("http://y/mcp", false)).is_err());
        let with_token = to("http://x/mcp", true);
        assert!(put(&now, "mcp_servers", "gw", &with_token).is_err());
        let now = put(text, "mcp_servers", "gw", &with_token).unwrap();
        assert!(now.ends_with("bearer_token_env_var = \"MCP_ORCHESTRATOR_TOKEN\"\n"));
        let other = format!("{now}[mcp_servers.gw.env]\nA = \"b\"\n[other]\nx = 1\n");
        let without = remove(&other, "mcp_servers", "gw").unwrap().unwrap();
        assert_eq!(without, format!("{text}\n\n[other]\nx = 1\n"));
        assert_eq!(remove(text, "mcp_servers", "gw").unwrap(), None);
    }

    #[test]
    fn unsupported_table_forms_are_rejected() {
        let to = Endpoint {
            url: "http://x".to_owned(),
            with_token: false,
        };
        for text in [
            "mcp_servers = {}",
            "mcp_servers.gw.url = \"z\"",
            "[ mcp_servers . gw ]",
            "a = \"\"\"\n[x]\n\"\"\"",
        ] {
            assert!(put(text, "mcp_servers", "gw", &to).is_err(), "{text}");
        }
    }
}
